import { resolve } from 'node:path';
import { z } from 'zod';
import { commonSettings } from '../settings.ts';
import { sinkKindSettings } from '../sink-kind.ts';

const settings = z.strictObject({
  type: z.literal('file'),
  ...commonSettings,
  path: z.string().min(1),
  /** At this size the file is put aside and a new one begun. */
  max_bytes: z.int().min(1024).default(104_857_600),
  /** So many of the files put aside are kept; all without it. */
  keep: z.int().min(1).optional(),
});

export type FileSettings = z.infer<typeof settings>;

export const fileSettings = sinkKindSettings({
  settings,
  // Two writers of one file would cut off each other's lines.
  exclusive: ({ path }) => ({ setting: 'path', value: resolve(path) }),
});
