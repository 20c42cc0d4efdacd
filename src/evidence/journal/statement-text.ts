import type { z } from 'zod';
import { EvidenceFault, textOf } from '../bytes.ts';
import { tags } from '../leaf.ts';
import { type Statement, statement, unknownStatement } from './statement.ts';

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

/*
 * JSON that every parser reads the same. JSON.parse keeps the last of two fields of one name, rounds large numbers and has no limit of depth;
 * another parser may do otherwise, and the two would read two statements from one signed text.
 */

const MAX_DEPTH = 32;

/** Strings, numbers, words, and the marks between them, of a text that is JSON. */
const token = /"(?:[^"\\]|\\.)*"|[{}[\]:,]|[^\s"{}[\]:,]+/g;

/**
 * The value of a JSON text. Throws an EvidenceFault if it is none, if an object has a field twice, if a number is not whole or not below 2⁵³,
 * if a string has half of a surrogate pair, or if it is nested too deeply. `what` names the text.
 */
export const readStrictJson = (text: string, what: string): unknown => {
  const value = parse(text, what);
  const open: (Set<string> | undefined)[] = [];
  let [before, isName] = ['', false];
  for (const [part] of text.matchAll(token)) {
    if (part === '{' || part === '[') {
      open.push(part === '{' ? new Set() : undefined);
      if (open.length > MAX_DEPTH) throw new EvidenceFault(`${what} is nested too deeply`);
    } else if (part === '}' || part === ']') open.pop();
    isName = (before === '{' || before === ',') && open.at(-1) !== undefined;
    if (part.startsWith('"')) checkString(JSON.parse(part), isName ? open.at(-1) : undefined, what);
    else if (/^[-\d]/.test(part)) checkNumber(part, what);
    before = part;
  }
  return value;
};

const parse = (text: string, what: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    throw new EvidenceFault(`${what} is not JSON`);
  }
};

/** `names`: of the object that the string is a field of, if it is the name of one. */
const checkString = (value: string, names: Set<string> | undefined, what: string): void => {
  if (!value.isWellFormed()) throw new EvidenceFault(`${what} has half of a surrogate pair`);
  if (names?.has(value) === true) throw new EvidenceFault(`${what} has the field ${JSON.stringify(value)} twice`);
  names?.add(value);
};

const checkNumber = (text: string, what: string): void => {
  if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(Number(text))) {
    throw new EvidenceFault(`${what} has a number that is not whole, or too large`);
  }
};
