import { z } from 'zod';
import { cut } from '../../formats/text.ts';
import {
  createMessageSink,
  headlineOf,
  type Message,
  messageOf,
  pauseSetting,
  peopleContradictions,
  peopleSettings,
  peopleWarnings,
} from '../chat.ts';
import { secretsOfAddress } from '../http/http-settings.ts';
import { batchEventsSetting, sinkKind, urlOf } from '../sink-kind.ts';

/** A chat that takes messages at an address, which is a credential. Any 2xx is success. */
const webhookKind = <T extends string>(
  type: T,
  chat: {
    readonly maxFindings: number;
    readonly maxBytes: number;
    /** What to look at when the address is not known. */
    readonly address: string;
    readonly write: (messages: readonly Message[]) => string;
  },
) =>
  sinkKind({
    settings: z.strictObject({
      type: z.literal(type),
      ...peopleSettings,
      webhook_url: urlOf('https:', 'http:'),
      batch_events: batchEventsSetting(10, chat.maxFindings),
      pause: pauseSetting('1s'),
    }),
    secrets: ['webhook_url'],
    files: ['ca_file'],
    derivedSecrets: ({ webhook_url: url }) => secretsOfAddress(url),
    contradictions: peopleContradictions,
    warnings: ({ webhook_url: url }) => peopleWarnings(url, 'webhook_url'),
    create: (settings) => {
      const { webhook_url: url, console_url: consoleUrl } = settings;
      return createMessageSink(settings, {
        url,
        target: new URL(url).origin,
        secrets: [url, ...secretsOfAddress(url)],
        maxEvents: chat.maxFindings,
        maxBytes: chat.maxBytes,
        checks: { credential: 'webhook_url', address: chat.address },
        write: (events) => chat.write(events.map((event) => messageOf(event, consoleUrl))),
      });
    },
  });

/** An incoming webhook of Slack. */
export const slack = webhookKind('slack', {
  // Two blocks each, and one for the message; Slack allows 50.
  maxFindings: 24,
  // Fifty blocks of 3,000 characters are far below.
  maxBytes: 500_000,
  address: 'webhook_url',
  write: (messages) => slackMessage(messages),
});

const slackMessage = (messages: readonly Message[]): string => {
  const [first] = messages;
  const isDigest = messages.length > 1;
  const headline = isDigest
    ? headlineOf(messages)
    : `orgtrail: ${first?.severity} · ${first?.title} · ${first?.place}: ${first?.summary}`;
  const head = isDigest ? [{ type: 'section', text: markdown(`*${escaped(headline)}*`) }] : [];
  return JSON.stringify({ text: fitting(headline, MAX_FALLBACK), blocks: [...head, ...messages.flatMap(blocksOf)] });
};

/** Verbatim: Slack makes no links or names of lookalikes. */
const markdown = (text: string) => ({ type: 'mrkdwn', text, verbatim: true });

/** Slack's three special characters: escaped, text can mention no one and make no link. */
const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** Cut before escaping, so that no escape is cut in two. */
const fitting = (text: string, most: number): string => {
  let length = Math.min(text.length, most);
  while (length > 0 && escaped(cut(text, length)).length > most) length = Math.floor(length * 0.9);
  return length > 0 ? escaped(cut(text, length)) : '';
};
/** Text of notifications and screen readers. */
const MAX_FALLBACK = 3_000;

const blocksOf = ({ title, severity, place, summary, facts, link }: Message): object[] => {
  const head = `*${fitting(severity.toUpperCase(), 50)}* · *${fitting(title, 200)}* · ${fitting(place, 300)}`;
  const more = link === undefined ? '' : `\n<${escaped(link)}|Open in the console>`;
  const text = `${head}\n${fitting(summary, MAX_SLACK_TEXT - head.length - more.length - 1)}${more}`;
  const said = facts.map(([name, value]) => `${name}: ${fitting(value, 300)}`).join(' · ');
  return [
    { type: 'section', text: markdown(text) },
    { type: 'context', elements: [markdown(said)] },
  ];
};

const MAX_SLACK_TEXT = 3_000;

/** A workflow of Microsoft Teams that is started by a webhook request. */
export const teams = webhookKind('teams', {
  // More would not fit into a message.
  maxFindings: 20,
  // Teams takes 28 KB.
  maxBytes: 28_000,
  address: 'webhook_url, and that the workflow is on',
  write: (messages) => teamsMessage(messages),
});

/** Starts a workflow "when a Teams webhook request is received": a message with one adaptive card. */
const teamsMessage = (messages: readonly Message[]): string => {
  const head = messages.length > 1 ? [text([[headlineOf(messages), { weight: 'bolder', size: 'medium' }]])] : [];
  const content = {
    $schema: 'http://adaptivecards.io/schemas/adaptive-card.json',
    type: 'AdaptiveCard',
    version: '1.4',
    msteams: { width: 'Full' },
    body: [...head, ...messages.flatMap(itemsOf)],
  };
  const contentType = 'application/vnd.microsoft.card.adaptive';
  return JSON.stringify({ type: 'message', attachments: [{ contentType, contentUrl: null, content }] });
};

/** Runs of text are shown verbatim: a text block would read Markdown. */
const text = (runs: readonly (readonly [string, object])[], more: object = {}) => ({
  type: 'RichTextBlock',
  inlines: runs.map(([content, style]) => ({ type: 'TextRun', text: content, ...style })),
  ...more,
});

const itemsOf = ({ title, severity, place, summary, facts, link }: Message): object[] => {
  const color = colors[severity] ?? 'default';
  const said = facts.map(([name, value]) => `${name}: ${cut(value, 300)}`).join(' · ');
  return [
    text(
      [
        [`${cut(severity.toUpperCase(), 50)} · `, { weight: 'bolder', color }],
        [cut(title, 200), { weight: 'bolder' }],
        [` · ${cut(place, 300)}`, {}],
      ],
      { separator: true },
    ),
    text([[cut(summary, MAX_TEAMS_TEXT), {}]]),
    text([[said, { isSubtle: true, size: 'small' }]]),
    ...(link === undefined
      ? []
      : [{ type: 'ActionSet', actions: [{ type: 'Action.OpenUrl', title: 'Open in the console', url: link }] }]),
  ];
};

const colors: Readonly<Record<string, string>> = { critical: 'attention', high: 'attention', medium: 'warning' };
/** A finding with the longest texts still fits. */
const MAX_TEAMS_TEXT = 2_000;
