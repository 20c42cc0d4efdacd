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

const checks = { credential: 'webhook_url', address: 'webhook_url, and that the workflow is on' };
/** Teams takes 28 KB. */
const MAX_BYTES = 28_000;

/** A workflow of Microsoft Teams: any 2xx is success. */
const create = (settings: TeamsSettings): Sink =>
  createMessageSink({
    url: settings.webhook_url,
    target: new URL(settings.webhook_url).origin,
    timeoutMs: settings.timeout,
    caFile: settings.ca_file,
    secrets: [settings.webhook_url, ...teamsSettings.derivedSecrets(settings)],
    maxEvents: MAX_FINDINGS,
    maxBytes: MAX_BYTES,
    pauseMs: settings.pause,
    checks,
    write: (events) => teamsMessage(events.map((event) => messageOf(event, settings.console_url))),
  });

/** More would not fit into a message. */
const MAX_FINDINGS = 20;

const settings = z.strictObject({
  type: z.literal('teams'),
  ...peopleSettings,
  /** Of a workflow started by a webhook request: a credential. */
  webhook_url: urlOf('https:', 'http:'),
  batch_events: batchEventsSetting(10, MAX_FINDINGS),
  pause: pauseSetting('1s'),
});

const teamsSettings = sinkKindSettings({
  settings,
  secrets: ['webhook_url'],
  files: ['ca_file'],

  derivedSecrets: ({ webhook_url: url }) => secretsOfAddress(url),
  contradictions: peopleContradictions,
  warnings: ({ webhook_url: url }) => peopleWarnings(url, 'webhook_url'),
});

/** Starts a workflow "when a Teams webhook request is received": a message with one adaptive card. */
const teamsMessage = (messages: readonly Message[]): string => {
  const headline = `orgtrail: ${messages.length} findings, ${worstOf(messages)} at most`;
  const head = messages.length > 1 ? [text([[headline, { weight: 'bolder', size: 'medium' }]])] : [];
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
    text([[cut(summary, MAX_TEXT), {}]]),
    text([[said, { isSubtle: true, size: 'small' }]]),
    ...(link === undefined
      ? []
      : [{ type: 'ActionSet', actions: [{ type: 'Action.OpenUrl', title: 'Open in the console', url: link }] }]),
  ];
};

const colors: Readonly<Record<string, string>> = { critical: 'attention', high: 'attention', medium: 'warning' };

/** A finding with the longest texts still fits. */
const MAX_TEXT = 2_000;

export const teams: SinkKind<typeof teamsSettings.settings> = { ...teamsSettings, create };

type TeamsSettings = z.infer<typeof settings>;
