import { z } from 'zod';
import { httpSettings } from '../http/http-settings.ts';
import { pauseSetting, peopleContradictions, peopleSettings, peopleWarnings } from '../people/people-settings.ts';
import { batchEventsSetting, headerSecret, minSeveritySetting } from '../settings.ts';
import { sinkKindSettings } from '../sink-kind.ts';

const settings = z.strictObject({
  type: z.literal('pagerduty'),
  ...peopleSettings,
  /** Of the region; or a proxy. */
  url: httpSettings.url.default('https://events.pagerduty.com'),
  /** Of an integration "Events API v2". */
  routing_key: headerSecret,
  /** Someone is woken. */
  min_severity: minSeveritySetting('high'),
  batch_events: batchEventsSetting(1, 100),
  pause: pauseSetting('1s'),
});

export type PagerdutySettings = z.infer<typeof settings>;

export const pagerdutySettings = sinkKindSettings({
  settings,
  secrets: ['routing_key'],
  files: ['ca_file'],
  contradictions: peopleContradictions,
  warnings: ({ url }) => peopleWarnings(url),
});
