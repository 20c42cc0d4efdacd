import { z } from 'zod';
import { httpSettings, plainHttpWarnings } from '../http/http-settings.ts';
import { commonSettings, headerSecret, maxEventBytesSetting } from '../settings.ts';
import { sinkKindSettings } from '../sink-kind.ts';

const settings = z.strictObject({
  type: z.literal('axiom'),
  ...commonSettings,
  ...httpSettings,
  url: httpSettings.url.default('https://api.axiom.co'),
  dataset: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]*$/, 'must be the name of a dataset'),
  token: headerSecret,
  max_event_bytes: maxEventBytesSetting(1_000_000),
});

export type AxiomSettings = z.infer<typeof settings>;

export const axiomSettings = sinkKindSettings({
  settings,
  secrets: ['token'],
  files: ['ca_file'],
  warnings: ({ url }) => plainHttpWarnings(url, 'its token'),
});
