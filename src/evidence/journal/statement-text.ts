import type { z } from 'zod';
import { textOf } from '../bytes.ts';
import { EvidenceFault } from '../evidence-fault.ts';
import { tags } from '../leaves/leaf.ts';
import { type Statement, statement, unknownStatement } from './statement.ts';
import { readStrictJson } from './strict-json.ts';

/** A statement that is longer is refused; what can be long goes in parts. So the leaf fits into an entry bundle. */
export const MAX_STATEMENT_BYTES = 60_000;

/**
 * The text of a statement, which is stored and hashed as it is: JSON without white space, fields in the order in which they are
 * declared. Throws an error for a statement that is none or too long.
 */
export const writeStatement = (value: Statement): string => {
  const text = JSON.stringify(statement.parse(value));
  if (Buffer.byteLength(text) > MAX_STATEMENT_BYTES) throw new RangeError(`a statement of ${text.length} characters`);
  return text;
};

/** A leaf has 65,535 bytes at most, its tag included. */
const MAX_READ_BYTES = 65_535 - tags.journal.length;

/** A statement as read: one that is known, or one of a later version. */
export type ReadStatement =
  | { readonly known: true; readonly statement: Statement }
  | { readonly known: false; readonly statement: z.infer<typeof unknownStatement> };

/** Reads the text of a statement. Throws an EvidenceFault that names the field. The text is what counts: keep it. */
export const readStatement = (text: string): ReadStatement => {
  if (Buffer.byteLength(text) > MAX_READ_BYTES) throw new EvidenceFault('statement is longer than a leaf can be');
  const value = readStrictJson(text, 'statement');
  const head = checked(unknownStatement, value);
  if (!statement.options.some((option) => option.shape.type.value === head.type))
    return { known: false, statement: head };
  return { known: true, statement: checked(statement, value) };
};

const checked = <T>(schema: z.ZodType<T>, value: unknown): T => {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new EvidenceFault(`statement: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`);
};

/** `journal/entries.ndjson`: the texts of statements, a line each. */
export const writeJournal = (texts: readonly string[]): string => texts.map((text) => `${text}\n`).join('');

/** The lines of such a file, byte for byte. Throws an EvidenceFault if its last line has no end. */
export const readJournal = (bytes: Uint8Array): string[] => {
  const lines = textOf(bytes, 'journal').split('\n');
  if (lines.pop() !== '') throw new EvidenceFault('journal ends within a line');
  return lines;
};
