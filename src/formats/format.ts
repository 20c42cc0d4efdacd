import type { EventFormatter } from './feed-event.ts';

/** What a line says of its event, for readers of the feed and for tests. */
export interface LineFacts {
  readonly position: number;
  /** The id of the entry; undefined if the format cuts it. */
  readonly id: string | undefined;
  /** Kind and id of the source, if the format has both. */
  readonly source?: string;
  /** The entry's text to the byte, if the format has it. */
  readonly rawText?: string;
}

/** A format, as a folder beside this file exports it and `formats.ts` lists it. */
export interface Format {
  /** Of many events, one a line. */
  readonly contentType: string;
  /** Of a file of many events, with the dot. Also of the golden file, `golden` in the folder. */
  readonly fileExtension: string;
  /** Each line is one JSON object: it goes into a larger JSON text as it is, and receivers of documents take it. */
  readonly json: boolean;
  readonly format: EventFormatter;
  /** Reads a line back. Throws for one that is not a whole line of this format. */
  readonly readLine: (line: string) => LineFacts;
}

/** What every format that writes JSON has in common. */
export const jsonLines = { contentType: 'application/x-ndjson', fileExtension: '.ndjson', json: true } as const;
/** What every format that writes anything else has in common. */
export const textLines = { contentType: 'text/plain; charset=utf-8', json: false } as const;

/** Facts of a line of JSON. Throws if `position` or `id` is not what it must be. */
export const jsonFacts = (position: unknown, id: unknown): LineFacts => {
  if (!Number.isSafeInteger(position) || typeof id !== 'string') throw new Error('the line has no position or no id');
  return { position: position as number, id };
};

/** Facts of a line that ends with its position, which `pattern` captures: only a whole line has it. */
export const factsAtEnd = (pattern: RegExp, line: string): LineFacts => {
  const position = pattern.exec(line)?.[1];
  if (position === undefined) throw new Error('the line does not end with its position');
  return { position: Number(position), id: undefined };
};
