import type { FormatName } from '../../../src/formats/formats.ts';

/** What a line of the feed says about its event. */
export interface FeedLine {
  readonly position: number;
  /** Source and id of the entry, or the id alone where the format has no more. */
  readonly key: string;
  /** The entry's exact text; only native has it to the byte. */
  readonly rawText?: string;
}

/** Throws where the line is not a whole one of its format. */
export const readFeedLine = (format: FormatName, line: string): FeedLine => readers[format](line);

type Members = Readonly<Record<string, unknown>>;

const membersOf = (line: string, ...path: readonly string[]): Members => {
  let value = JSON.parse(line) as Members;
  for (const name of path) value = value[name] as Members;
  return value;
};

const eventOf = (position: unknown, id: unknown): FeedLine => {
  if (!Number.isSafeInteger(position) || typeof id !== 'string') throw new Error('no position or no id');
  return { position: position as number, key: id };
};

/** In the formats that are no JSON, the position is what comes last: it says that the line is whole. */
const positionAtEnd = (pattern: RegExp, line: string): number => {
  const found = pattern.exec(line)?.[1];
  if (found === undefined) throw new Error('does not end as the format does');
  return Number(found);
};

const readers: Readonly<Record<FormatName, (line: string) => FeedLine>> = {
  native: (line) => {
    const { position, id, source_kind, source_id, raw_text } = membersOf(line);
    // No string before it can have these bytes: a quotation mark inside one comes with a backslash.
    const rawText = typeof raw_text === 'string' ? raw_text : line.slice(line.indexOf(',"raw":') + 7, -1);
    return { ...eventOf(position, id), key: `${source_kind} ${source_id} ${id}`, rawText };
  },
  ocsf: (line) => {
    const { sequence, uid } = membersOf(line, 'metadata');
    return eventOf(sequence, uid);
  },
  ecs: (line) => {
    const { sequence, id } = membersOf(line, 'event');
    return eventOf(sequence, id);
  },
  logpush: (line) => {
    const { FeedPosition, AuditLogID } = membersOf(line);
    return eventOf(FeedPosition, AuditLogID);
  },
  cef: (line) => ({ position: positionAtEnd(/ cn1=(\d+)(?: cn1Label=Feed Position)?$/, line), key: '' }),
  leef: (line) => ({ position: positionAtEnd(/\tposition=(\d+)$/, line), key: '' }),
};
