import { z } from 'zod';

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

/** What the envelope of a page says. */
export interface PageEnvelope {
  readonly result: readonly unknown[] | undefined;
  readonly nextCursor: string | undefined;
  readonly count: number | undefined;
  /** Why the answer is not believed, although it brings entries: it names an error, or does not say that it is a success. */
  readonly fault: string | undefined;
  /** Its messages speak of a part or of a limit. */
  readonly isPartial: boolean;
}

/**
 * Reads the envelope of a response. Throws UnreadablePageError for what brings no entries and is not a success. `entriesReadBefore`: entries that
 * were taken out of the text.
 */
export const readEnvelope = (text: string, entriesReadBefore = 0): PageEnvelope => {
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
  return {
    result: result ?? undefined,
    nextCursor: readCursor(info?.cursor || info?.cursors?.after),
    count: readCount(info?.count),
    fault,
    isPartial: doubtfulWords.test(textIn(messages)),
  };
};

/** Why an envelope is not that of a success. Undefined: it is. Used for listings as well. */
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

/** Of an answer that says that it has only some of what was asked for, wherever it says so. */
const partWords = /partial|incomplete|truncat|timed[ -]?out|some results|some entries/i;
/** Of messages that may say so. */
const doubtfulWords =
  /\bparts?\b|limit|quota|throttl|too many|try again|overload|shard|time[ -]?out|degraded|unavailable|omitted|missing/i;

/** Undefined for what is no number of entries: it then says nothing. */
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
