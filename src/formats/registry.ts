import { cef } from './cef.ts';
import { ecs } from './ecs.ts';
import type { Format } from './format.ts';
import { leef } from './leef.ts';
import { logpush } from './logpush.ts';
import { native } from './native.ts';
import { ocsf } from './ocsf.ts';

/** Names by which users ask for formats: a contract. A new one takes a file and its name here (CONTRIBUTING.md). */
const registry = {
  native,
  ocsf,
  ecs,
  logpush,
  cef,
  leef,
};

export type FormatName = keyof typeof registry;
export const formats: Readonly<Record<FormatName, Format>> = registry;
export const formatNames = Object.keys(formats) as readonly FormatName[];
