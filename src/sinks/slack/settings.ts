import { z } from 'zod';
import { secretsOfAddress } from '../http/header-settings.ts';
import { pauseSetting, peopleContradictions, peopleSettings, peopleWarnings } from '../people/people-settings.ts';
import { batchEventsSetting, urlOf } from '../settings.ts';
import { sinkKindSettings } from '../sink-kind.ts';

/** Two blocks each, and one of the message: 50 are allowed. */
export const MAX_FINDINGS = 24;

const settings = z.strictObject({
  type: z.literal('slack'),
  ...peopleSettings,
  /** Of an incoming webhook: a credential. */
  webhook_url: urlOf('https:', 'http:'),
  batch_events: batchEventsSetting(10, MAX_FINDINGS),
  pause: pauseSetting('1s'),
});

export type SlackSettings = z.infer<typeof settings>;

export const slackSettings = sinkKindSettings({
  settings,
  secrets: ['webhook_url'],
  files: ['ca_file'],

  derivedSecrets: ({ webhook_url: url }) => secretsOfAddress(url),
  contradictions: peopleContradictions,
  warnings: ({ webhook_url: url }) => peopleWarnings(url, 'webhook_url'),
});
