import { formatCef } from './cef/cef.ts';
import { formatEcs } from './ecs/ecs.ts';
import type { EventFormatter } from './feed-event.ts';
import { formatLeef } from './leef/leef.ts';
import { formatLogpush } from './logpush/logpush.ts';
import { formatNative } from './native/native.ts';
import { formatOcsf } from './ocsf/ocsf.ts';

/** The names by which users ask for a format: a contract. */
export type FormatName = 'native' | 'ocsf' | 'ecs' | 'logpush' | 'cef' | 'leef';

export interface Format {
  /** Of many events, one a line. */
  readonly contentType: string;
  /** Of a file of many events, with the dot. */
  readonly fileExtension: string;
  readonly format: EventFormatter;
}

const json = { contentType: 'application/x-ndjson', fileExtension: '.ndjson' } as const;
const text = { contentType: 'text/plain; charset=utf-8' } as const;

/** All formats in which the feed hands out events. docs/formats.md says what stands where. */
export const formats: Readonly<Record<FormatName, Format>> = {
  native: { ...json, format: formatNative },
  ocsf: { ...json, format: formatOcsf },
  ecs: { ...json, format: formatEcs },
  logpush: { ...json, format: formatLogpush },
  cef: { ...text, fileExtension: '.cef', format: formatCef },
  leef: { ...text, fileExtension: '.leef', format: formatLeef },
};
