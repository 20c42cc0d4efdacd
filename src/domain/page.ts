import { z } from 'zod';
import { columnSource, type Defect, hasSuspiciousEscape, readEntry } from './entry.ts';
import { findArray } from './json-elements.ts';
import type { PageFacts } from './walk.ts';

/** An entry of a page that has at least one entry with a defect: read here, since the database could not. */
export interface CarefulEntry {
  /** The exact text of the element. */
  readonly text: string;
  readonly id: string | undefined;
  readonly actionTime: string | undefined;
  readonly defects: readonly Defect[];
  /** What the database computes the typed columns from: JSON that its `jsonb` takes. */
  readonly columnSource: string;
}

/**
 * One page of an audit log as it is committed. Where every entry is plain, `careful` is undefined and the database takes
 * `entriesText` (the exact `result` array) apart by itself, which is faster than any batch that a client could send.
 */
export interface Page extends PageFacts {
  readonly entriesText: string;
  readonly careful: readonly CarefulEntry[] | undefined;
  /** Every entry one by one, plain or not: for a page that the database refused as a whole. */
  readonly carefully: () => readonly CarefulEntry[];
}

/** What a walk commits that changes without a page. */
export const emptyPage: Page = {
  entries: 0,
  timesMs: [],
  nextCursor: undefined,
  entriesText: '[]',
  careful: undefined,
  carefully: () => [],
};

/** The body was not the envelope that the API documents; the walk must not go on as if it had been an empty page. */
export class UnreadablePageError extends Error {
  override readonly name = 'UnreadablePageError';
}

/** Every key is optional in the published schema, and `count` a string there but a number in the field. */
const envelopeSchema = z.looseObject({
  success: z.boolean().nullish(),
  result: z.array(z.unknown()).nullish(),
  result_info: z
    .looseObject({
      count: z.union([z.string(), z.number()]).nullish(),
      cursor: z.string().nullish(),
      cursors: z.looseObject({ after: z.string().nullish() }).nullish(),
    })
    .nullish(),
});

/**
 * Reads a page. `validUtf8` is false where the body's bytes were not UTF-8: the text then has U+FFFD in their place.
 * Throws UnreadablePageError for anything but a successful envelope; no entry can make it throw.
 */
export const readPage = (text: string, validUtf8 = true): Page => {
  const envelope = readEnvelope(text);
  const entries = envelope.result;
  if (entries === undefined) {
    return { ...emptyPage, nextCursor: envelope.nextCursor };
  }
  const array = findArray(text, 'result');
  if (array === undefined || array.elements.length !== entries.length) {
    throw new UnreadablePageError('the result array could not be found in the text of the response');
  }
  const suspicious = hasSuspiciousEscape(text.slice(array.start, array.end));
  const readings = entries.map((entry, index) => {
    const span = array.elements[index] as (typeof array.elements)[number];
    // The slice is made only where it is looked at: most pages have nothing suspicious.
    const textOf = suspicious ? text.slice(span.start, span.end) : '';
    return readEntry(entry, textOf, span, suspicious);
  });
  const carefully = (): CarefulEntry[] =>
    readings.map((reading, index) => {
      const span = array.elements[index] as (typeof array.elements)[number];
      const exact = text.slice(span.start, span.end);
      const damaged = !validUtf8 && exact.includes('\ufffd');
      const defects = damaged ? [...reading.defects, 'invalid_utf8' as const] : reading.defects;
      return {
        text: exact,
        id: reading.id,
        actionTime: reading.actionTime,
        defects,
        columnSource: columnSource(entries[index], exact, defects),
      };
    });
  const plain = validUtf8 && readings.every((reading) => reading.defects.length === 0);
  return {
    entries: entries.length,
    timesMs: readings.flatMap((reading) => (reading.timeMs === undefined ? [] : [reading.timeMs])),
    nextCursor: envelope.nextCursor,
    entriesText: text.slice(array.start, array.end),
    careful: plain ? undefined : carefully(),
    carefully,
  };
};

/** An entry that the database would not take as JSON: kept as text, with the columns that it still gives. */
export const refusedByDatabase = (entry: CarefulEntry): CarefulEntry => {
  const defects: readonly Defect[] = [...entry.defects, 'refused_by_database'];
  return { ...entry, defects, columnSource: columnSource(JSON.parse(entry.text), entry.text, defects) };
};

const readEnvelope = (text: string): { result: readonly unknown[] | undefined; nextCursor: string | undefined } => {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new UnreadablePageError(`the body is not JSON: ${excerpt(text)}`);
  }
  const envelope = envelopeSchema.safeParse(parsed);
  if (!envelope.success) {
    const fault = envelope.error.issues[0];
    throw new UnreadablePageError(`the envelope is not as documented: ${fault?.path.join('.')} ${fault?.message}`);
  }
  const { success, result, result_info: info } = envelope.data;
  if (success === false) throw new UnreadablePageError('the body says success: false');
  // Not Number(count): it takes an empty text for 0, and the window would count as read.
  const nothing = String(info?.count) === '0';
  if (!Array.isArray(result) && !nothing) throw new UnreadablePageError('the envelope has no result');
  return { result: result ?? undefined, nextCursor: info?.cursor || info?.cursors?.after || undefined };
};

const excerpt = (text: string): string => JSON.stringify(text.trimStart().slice(0, 60));
