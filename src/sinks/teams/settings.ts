import { z } from 'zod';
import { secretsOfAddress } from '../http/header-settings.ts';
import { pauseSetting, peopleContradictions, peopleSettings, peopleWarnings } from '../people/people-settings.ts';
import { batchEventsSetting, urlOf } from '../settings.ts';
import { sinkKindSettings } from '../sink-kind.ts';

/** More would not fit into a message. */
export const MAX_FINDINGS = 20;

const settings = z.strictObject({
  type: z.literal('teams'),
  ...peopleSettings,
  /** Of a workflow that is started by a webhook request: a credential. */
  webhook_url: urlOf('https:', 'http:'),
  batch_events: batchEventsSetting(10, MAX_FINDINGS),
  pause: pauseSetting('1s'),
});

export type TeamsSettings = z.infer<typeof settings>;

export const teamsSettings = sinkKindSettings({
  settings,
  secrets: ['webhook_url'],
  files: ['ca_file'],

  derivedSecrets: ({ webhook_url: url }) => secretsOfAddress(url),
  contradictions: peopleContradictions,
  warnings: ({ webhook_url: url }) => peopleWarnings(url, 'webhook_url'),
});
