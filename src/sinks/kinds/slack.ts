import { z } from 'zod';
import { cut } from '../../formats/text.ts';
import {
  createMessageSink,
  type Message,
  messageOf,
  pauseSetting,
  peopleContradictions,
  peopleSettings,
  peopleWarnings,
  worstOf,
} from '../chat.ts';
import type { Sink } from '../delivery.ts';
import { secretsOfAddress } from '../http/http-settings.ts';
import { batchEventsSetting, type SinkKind, sinkKindSettings, urlOf } from '../sink-kind.ts';

const checks = { credential: 'webhook_url', address: 'webhook_url' };
/** Fifty blocks of 3,000 characters are far below. */
const MAX_BYTES = 500_000;

/** An incoming webhook: any 2xx is success. */
const create = (settings: SlackSettings): Sink =>
  createMessageSink({
    url: settings.webhook_url,
    target: new URL(settings.webhook_url).origin,
    timeoutMs: settings.timeout,
    caFile: settings.ca_file,
    secrets: [settings.webhook_url, ...slackSettings.derivedSecrets(settings)],
    maxEvents: MAX_FINDINGS,
    maxBytes: MAX_BYTES,
    pauseMs: settings.pause,
    checks,
    write: (events) => slackMessage(events.map((event) => messageOf(event, settings.console_url))),
  });

/** Two blocks each, and one for the message; Slack allows 50. */
const MAX_FINDINGS = 24;

const settings = z.strictObject({
  type: z.literal('slack'),
  ...peopleSettings,
  /** A credential. */
  webhook_url: urlOf('https:', 'http:'),
  batch_events: batchEventsSetting(10, MAX_FINDINGS),
  pause: pauseSetting('1s'),
});

const slackSettings = sinkKindSettings({
  settings,
  secrets: ['webhook_url'],
  files: ['ca_file'],

  derivedSecrets: ({ webhook_url: url }) => secretsOfAddress(url),
  contradictions: peopleContradictions,
  warnings: ({ webhook_url: url }) => peopleWarnings(url, 'webhook_url'),
});

const slackMessage = (messages: readonly Message[]): string => {
  const [first] = messages;
  const isDigest = messages.length > 1;
  const headline = isDigest
    ? `orgtrail: ${messages.length} findings, ${worstOf(messages)} at most`
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
  const text = `${head}\n${fitting(summary, MAX_TEXT - head.length - more.length - 1)}${more}`;
  const said = facts.map(([name, value]) => `${name}: ${fitting(value, 300)}`).join(' · ');
  return [
    { type: 'section', text: markdown(text) },
    { type: 'context', elements: [markdown(said)] },
  ];
};

/** Of a text in a block. */
const MAX_TEXT = 3_000;

export const slack: SinkKind<typeof slackSettings.settings> = { ...slackSettings, create };

type SlackSettings = z.infer<typeof settings>;
