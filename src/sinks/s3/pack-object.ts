import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import { constants, createGzip, createZstdCompress } from 'node:zlib';
import { receivedMs } from '../../formats/event-time.ts';
import type { OutgoingEvent } from '../delivery.ts';

export type Compression = 'gzip' | 'zstd';

/** Fixed, since the same events must give the same bytes. */
const GZIP_LEVEL = 6;
const ZSTD_LEVEL = 3;
/** Of the header of gzip, "unknown": else it names the system that this runs on. */
const SYSTEM_BYTE = 9;
const UNKNOWN_SYSTEM = 255;
/** So many lines are joined at once. */
const LINES_AT_ONCE = 200;
/** As many as the largest position has. */
const POSITION_DIGITS = 16;
const DIGEST_DIGITS = 16;

const compressions = {
  gzip: {
    extension: 'gz',
    contentType: 'application/gzip',
    create: () => createGzip({ level: GZIP_LEVEL }),
  },
  zstd: {
    extension: 'zst',
    contentType: 'application/zstd',
    create: () =>
      createZstdCompress({
        params: { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL, [constants.ZSTD_c_checksumFlag]: 1 },
      }),
  },
} as const;

/** Events as they stand in a bucket. */
export interface PackedObject {
  /** Says day, first and last position, and what is in it: another content has another name. */
  readonly name: string;
  readonly contentType: string;
  readonly bytes: Buffer;
}

/** Runs of events that were received on one day (UTC): each is an object, in the folder of its day. */
export const runsByDay = (events: readonly OutgoingEvent[]): readonly (readonly OutgoingEvent[])[] => {
  const runs: OutgoingEvent[][] = [];
  let day = '';
  for (const each of events) {
    const next = dayOf(each);
    if (next !== day || runs.length === 0) runs.push([]);
    day = next;
    runs.at(-1)?.push(each);
  }
  return runs;
};

/** As Logpush names its folders. */
const dayOf = ({ event }: OutgoingEvent): string =>
  new Date(receivedMs(event)).toISOString().slice(0, 10).replaceAll('-', '');

/** At least one event, each on a line. The same events in the same format give the same name, and the same bytes by the same version of Node. */
export const packObject = async (events: readonly OutgoingEvent[], compression: Compression): Promise<PackedObject> => {
  const { extension, contentType, create } = compressions[compression];
  const hash = createHash('sha256');
  const lines = function* () {
    for (let index = 0; index < events.length; index += LINES_AT_ONCE) {
      const texts = events.slice(index, index + LINES_AT_ONCE).map(({ text }) => `${text}\n`);
      const bytes = Buffer.from(texts.join(''), 'utf8');
      hash.update(bytes);
      yield bytes;
    }
  };
  const chunks: Buffer[] = [];
  await pipeline(lines, create(), async (packed: AsyncIterable<Buffer>) => {
    for await (const chunk of packed) chunks.push(chunk);
  });
  const bytes = Buffer.concat(chunks);
  if (compression === 'gzip') bytes[SYSTEM_BYTE] = UNKNOWN_SYSTEM;
  const digest = hash.digest('hex').slice(0, DIGEST_DIGITS);
  return { name: `${placeOf(events)}-${digest}.ndjson.${extension}`, contentType, bytes };
};

const placeOf = (events: readonly OutgoingEvent[]): string => {
  const [first, last] = [events[0], events.at(-1)];
  if (first === undefined || last === undefined) throw new Error('an object has at least one event');
  const digits = ({ event }: OutgoingEvent) => String(event.position).padStart(POSITION_DIGITS, '0');
  return `${dayOf(first)}/${digits(first)}-${digits(last)}`;
};
