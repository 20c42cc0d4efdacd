import type { z } from 'zod';
import { EvidenceFault, textOf } from '../bytes.ts';
import { tags } from '../leaf.ts';
import { type Statement, statement, unknownStatement } from './statement.ts';

/** So the leaf fits into an entry bundle; what can be longer goes in parts. */
export const MAX_STATEMENT_BYTES = 60_000;

/** Stored and hashed as it is: JSON without white space. Throws an error for no statement, or one that is too long. */
export const writeStatement = (value: Statement): string => {
  const text = JSON.stringify(statement.parse(value));
  if (Buffer.byteLength(text) > MAX_STATEMENT_BYTES) throw new RangeError(`a statement of ${text.length} characters`);
  return text;
};

/** A leaf has 65,535 bytes at most, its tag included. */
const MAX_READ_BYTES = 65_535 - tags.journal.length;

/** Known, or of a later version. */
export type ReadStatement =
  | { readonly known: true; readonly statement: Statement }
  | { readonly known: false; readonly statement: z.infer<typeof unknownStatement> };

/** Throws an EvidenceFault that names the field. The text is what counts: keep it. */
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

/** `journal/entries.ndjson` */
export const writeJournal = (texts: readonly string[]): string => texts.map((text) => `${text}\n`).join('');

/** Throws an EvidenceFault if the last line has no end. */
export const readLines = (bytes: Uint8Array, what = 'journal'): string[] => {
  const lines = textOf(bytes, what).split('\n');
  if (lines.pop() !== '') throw new EvidenceFault(`${what} ends within a line`);
  return lines;
};

/* JSON that every parser reads the same. Others may treat doubled fields, large numbers and depth unlike JSON.parse. */

const MAX_DEPTH = 32;

const token = /"(?:[^"\\]|\\.)*"|[{}[\]:,]|[^\s"{}[\]:,]+/g;

/** Throws an EvidenceFault for no JSON, doubled fields, unsafe or broken numbers, lone surrogates, too much nesting. */
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

/** `names`: the fields so far, if the string is the name of one. */
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
