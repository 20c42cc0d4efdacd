import { z } from 'zod';
import {
  columnSource,
  type Defect,
  type EntryReading,
  hasSuspiciousEscape,
  type PageRows,
  PLACES,
  place,
  readEntry,
  shortColumnSource,
} from './entry.ts';
import { type ArraySpan, type ElementSpan, findArray } from './json-bytes.ts';
import { readPlainPage } from './plain-page.ts';

/** An entry read here, since the database could not. */
export interface CarefulEntry {
  readonly text: string;
  readonly id: string | undefined;
  readonly actionTime: string | undefined;
  readonly defects: readonly Defect[];
  readonly columnSource: string;
}

/**
 * One page of an audit log, by how it is committed.
 * - columns: every entry is plain and was read from its bytes
 * - json: every entry is plain, and PostgreSQL reads the array
 * - careful: some entry has a defect; bytes that are no UTF-8 are U+FFFD in the text
 */
export type Page = PageFacts & {
  readonly entriesText: string;
  /** Characters, if it was read from text. */
  readonly sizeBytes: number;
  /** Returns the page's buffer to the pool once it is stored. Optional; the page must not be used afterwards. */
  release?(): void;
  /** Set by who received it: the answer's own `Date`. */
  servedAtMs?: number | undefined;
  answer?: PageAnswer | undefined;
} & (
    | { readonly kind: 'columns'; readonly rows: PageRows }
    | { readonly kind: 'json' }
    | { readonly kind: 'careful'; readonly validUtf8: boolean }
  );

export interface PageAnswer {
  readonly dateMs: number | undefined;
  readonly cfRay: string | undefined;
  readonly bodySha256: string;
}

/** For a commit that changes the walk without a page. */
export const emptyPage: Page = {
  entries: 0,
  timesMs: [],
  nextCursor: undefined,
  kind: 'json',
  entriesText: '[]',
  sizeBytes: 2,
};

export interface PageBody {
  readonly bytes: Buffer;
  release?(): void;
  /** The bytes as text, with U+FFFD for what is no UTF-8. Decoded when it is asked for. */
  readonly text: string;
  readonly validUtf8: boolean;
}

/** From its bytes if all of it is plain, as nearly always; else, and without the fast path, by `readPage`, which comes
 * to the same. */
export const readPageBody = (body: PageBody, { fastPath = true } = {}): Page => {
  const plain = fastPath && body.validUtf8 ? readPlainPage(body.bytes) : undefined;
  if (plain === undefined) return readPage(body.text, body.validUtf8);
  const { rows, timesMs, start, end } = plain;
  let isReleased = false;
  return {
    entries: rows.firsts.length,
    timesMs,
    ...readEnvelope(plain.envelopeText, rows.firsts.length).facts,
    fingerprint: fingerprintOf(rows.firsts.length, (row) => idAt(rows, row) ?? textAt(rows, row)),
    get entriesText() {
      if (isReleased) throw new Error('a page that was given back is read');
      return body.bytes.toString('utf8', start, end);
    },
    kind: 'columns',
    rows,
    sizeBytes: end - start,
    release: () => {
      isReleased = true;
      body.release?.();
    },
  };
};

/** Throws UnreadablePageError for anything but a successful envelope; no entry can make it throw. */
export const readPage = (text: string, validUtf8 = true): Page => {
  const { result, facts } = readEnvelope(text);
  if (!Array.isArray(result)) return { ...emptyPage, ...facts };
  const array = findArray(text, 'result');
  if (array === undefined || array.elements.length !== result.length) {
    throw new UnreadablePageError('the body has more than one result');
  }
  const readings = readEntries(text, array, result);
  const plain = validUtf8 && readings.every((reading) => reading.defects.length === 0);
  return {
    entries: readings.length,
    timesMs: readings.flatMap((reading) => (reading.timeMs === undefined ? [] : [reading.timeMs])),
    ...facts,
    fingerprint: fingerprintOf(readings.length, (index) => {
      const { start, end } = array.elements[index] as ElementSpan;
      return readings[index]?.id ?? text.slice(start, end);
    }),
    entriesText: text.slice(array.start, array.end),
    sizeBytes: array.end - array.start,
    ...(plain ? { kind: 'json' } : { kind: 'careful', validUtf8 }),
  };
};

export const readCarefully = (page: Page): readonly CarefulEntry[] => {
  const text = `{"result":${page.entriesText}}`;
  const entries = (JSON.parse(text) as { result: readonly unknown[] }).result;
  const array = findArray(text, 'result');
  if (array === undefined) return [];
  return readEntries(text, array, entries).map((reading, index) => {
    const span = array.elements[index] as ElementSpan;
    const exact = text.slice(span.start, span.end);
    const damaged = page.kind === 'careful' && !page.validUtf8 && exact.includes('\ufffd');
    const defects = damaged ? [...reading.defects, 'invalid_utf8' as const] : reading.defects;
    return {
      text: exact,
      id: reading.id,
      actionTime: reading.actionTime,
      defects,
      columnSource: columnSource(entries[index], exact, defects),
    };
  });
};

export const idsOf = (page: Page): ReadonlySet<string> => {
  const ids = page.kind === 'columns' ? idsInOrder(page.rows) : [];
  if (page.kind === 'columns' && !ids.includes(undefined)) return new Set(ids as readonly string[]);
  return new Set(readCarefully(page).map(({ id, text }) => id ?? text));
};

/** To the byte: then there is nothing about it to store once the earlier one is stored. False also if it is not cheaply
 * said. */
export const isRepetition = (page: Page, earlier: Page): boolean => {
  if (page.kind !== 'columns' || earlier.kind !== 'columns' || page.entries > earlier.entries) return false;
  const rowOf = new Map(idsInOrder(earlier.rows).map((id, row) => [id, row]));
  return idsInOrder(page.rows).every((id, row) => {
    const before = rowOf.get(id);
    return id !== undefined && before !== undefined && textAt(page.rows, row).equals(textAt(earlier.rows, before));
  });
};

/** An entry that the database would not take as JSON: kept as text, with the columns that it still gives. */
export const refusedByDatabase = (entry: CarefulEntry): CarefulEntry => {
  const defects: readonly Defect[] = [...entry.defects, 'refused_by_database'];
  return { ...entry, defects, columnSource: columnSource(JSON.parse(entry.text), entry.text, defects) };
};

export const withShortColumns = (entry: CarefulEntry): CarefulEntry => {
  const short = shortColumnSource(JSON.parse(entry.text));
  if (short === undefined) return entry;
  return { ...entry, defects: [...entry.defects, 'column_too_long'], columnSource: short };
};

const readEntries = (text: string, array: ArraySpan, entries: readonly unknown[]): EntryReading[] => {
  const suspicious = hasSuspiciousEscape(text.slice(array.start, array.end));
  return entries.map((entry, index) => {
    const span = array.elements[index] as ElementSpan;
    // The slice is made only if it is looked at: most pages have nothing suspicious.
    return readEntry(entry, suspicious ? text.slice(span.start, span.end) : '', span, suspicious);
  });
};

/** No two pages of a walk have as many entries, and the same ones first and last. It is kept with the walk. */
const fingerprintOf = (entries: number, idOrText: (index: number) => string | Buffer): string | undefined =>
  entries === 0
    ? undefined
    : [0, entries - 1].reduce((all, index) => `${all} ${shortly(idOrText(index))}`, String(entries));

/** Longer texts count by their beginning and end, together this long. */
const MOST_TOLD = 500;
/** What `jsonb` may not take, such as half a surrogate pair. */
const ODD = /[^ -~]/g;

const shortly = (told: string | Buffer): string =>
  (told.length <= MOST_TOLD
    ? String(told)
    : `${told.length} ${told.slice(0, MOST_TOLD / 2)} ${told.slice(-MOST_TOLD / 2)}`
  ).replace(ODD, '?');

const idsInOrder = (rows: PageRows): readonly (string | undefined)[] => rows.firsts.map((_, row) => idAt(rows, row));

const textAt = ({ bytes, spans }: PageRows, row: number): Buffer => {
  const at = (row * PLACES + place.text) * 2;
  return bytes.subarray(spans[at], spans[at + 1]);
};

const idAt = ({ bytes, spans, replaced }: PageRows, row: number): string | undefined => {
  if (row < 0) return undefined;
  const at = (row * PLACES + place.id) * 2;
  const start = spans[at] ?? 0;
  return start < 0 ? replaced.get(at) : bytes.toString('utf8', start, spans[at + 1]);
};

export interface PageFacts {
  readonly entries: number;
  readonly timesMs: readonly number[];
  readonly nextCursor: string | undefined;
  readonly count?: number | undefined;
  /** The answer's own `Date`, as far as it can be believed. */
  readonly servedAtMs?: number | undefined;
  ids?: ReadonlySet<string> | undefined;
  /** Tells pages apart by what is on them; undefined if that cannot be said cheaply. */
  readonly fingerprint?: string | undefined;
  /** The answer names an error, or does not say that it is a success: it may be a part of what there is. */
  readonly fault?: string | undefined;
  readonly isPartial?: boolean | undefined;
}

/** Servers refuse URLs over 8 kB. */
const MAX_CURSOR_LENGTH = 8_000;

/** The body was not the envelope that the API documents; the walk must not go on as if it had been an empty page. */
export class UnreadablePageError extends Error {
  override readonly name = 'UnreadablePageError';
}

/** Every key is optional in the published schema, and `count` a string there but a number in the field. */
const envelopeSchema = z.looseObject({
  success: z.unknown().optional(),
  errors: z.unknown().optional(),
  error: z.unknown().optional(),
  messages: z.unknown().optional(),
  result: z.array(z.unknown()).nullish(),
  result_info: z
    .looseObject({
      errors: z.unknown().optional(),
      count: z.union([z.string(), z.number()]).nullish(),
      cursor: z.string().nullish(),
      cursors: z.looseObject({ after: z.string().nullish() }).nullish(),
    })
    .nullish(),
});

/** Throws UnreadablePageError for what brings no entries and is no success. `entriesReadBefore` were taken out of the
 * text. */
const readEnvelope = (text: string, entriesReadBefore = 0) => {
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
  const { success, result, result_info: info, messages } = envelope.data;
  const { cursor: _, cursors: __, ...counts } = info ?? {};
  const told = textIn({ ...envelope.data, success: null, result: null, result_info: counts });
  const fault =
    faultIn(envelope.data) ?? (partWords.test(told) ? `says that it is a part: ${excerpt(told)}` : undefined);
  if (success === false || (fault !== undefined && (result?.length ?? 0) + entriesReadBefore === 0))
    throw new UnreadablePageError(`the body ${fault}`);
  // Not Number(count): it takes an empty text for 0, and the window would count as read.
  const nothing = String(info?.count) === '0';
  if (!Array.isArray(result) && !nothing) throw new UnreadablePageError('the envelope has no result');
  const facts = {
    nextCursor: readCursor(info?.cursor || info?.cursors?.after),
    count: readCount(info?.count),
    fault,
    isPartial: doubtfulWords.test(textIn(messages)) || undefined,
  };
  return { result, facts };
};

/** Why an envelope is not that of a success; listings too. */
export const faultIn = (envelope: {
  readonly success?: unknown;
  readonly errors?: unknown;
  readonly error?: unknown;
  readonly result_info?: { readonly errors?: unknown } | null | undefined;
}): string | undefined => {
  const { success, errors, error, result_info: info } = envelope;
  if (success !== true) return success === undefined ? 'has no success: true' : `says success: ${String(success)}`;
  const named = [errors, error, info?.errors].find((each) => !isNothing(each));
  return isNothing(named) ? undefined : `says success: true and names an error: ${excerpt(textIn(named))}`;
};

/** The texts of a value and of what it holds, and the names of what is true. Not further down: JSON may be nested by the thousand. */
const textIn = (value: unknown, levels = 4): string =>
  typeof value !== 'object' || value === null
    ? String(value ?? '')
    : levels === 0
      ? ''
      : Object.entries(value)
          .map(([name, each]) => (each === true ? name : textIn(each, levels - 1)))
          .join(' ');

const isNothing = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  value === '' ||
  (typeof value === 'object' && Object.keys(value).length === 0);

/** An answer that says that it has only some of what was asked for, wherever it says so. */
const partWords = /partial|incomplete|truncat|timed[ -]?out|some results|some entries/i;
/** Messages that may say so. */
const doubtfulWords =
  /\bparts?\b|limit|quota|throttl|too many|try again|overload|shard|time[ -]?out|degraded|unavailable|omitted|missing/i;

const readCount = (count: string | number | null | undefined): number | undefined => {
  const value = typeof count === 'string' && /^\d{1,9}$/.test(count) ? Number(count) : count;
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
};

/** Refuses one that could not be kept (NUL) or asked for again as it came (half a character, longer than a URL may be). */
const readCursor = (cursor: string | null | undefined): string | undefined => {
  if (cursor === undefined || cursor === null || cursor === '') return undefined;
  if (cursor.length > MAX_CURSOR_LENGTH) {
    throw new UnreadablePageError(`the cursor has ${cursor.length} characters, more than a URL holds`);
  }
  if (cursor.includes('\0') || !cursor.isWellFormed()) {
    throw new UnreadablePageError('the cursor holds characters that cannot be sent back');
  }
  return cursor;
};

const excerpt = (text: string): string => JSON.stringify(text.trimStart().slice(0, 60));
