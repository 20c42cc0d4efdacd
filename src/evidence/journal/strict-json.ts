import { EvidenceFault, textOf } from '../bytes.ts';

/* Chapter 1 of the format: JSON that every parser reads the same. Others may treat doubled fields, large numbers and depth unlike JSON.parse. */

const MAX_DEPTH = 32;

const token = /"(?:[^"\\]|\\.)*"|[{}[\]:,]|[^\s"{}[\]:,]+/g;

/** One object. Throws an EvidenceFault for anything else, doubled fields, unsafe or broken numbers, lone surrogates, too much nesting. */
export const readStrictJson = (text: string, what: string): object => {
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

const parse = (text: string, what: string): object => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new EvidenceFault(`${what} is not JSON`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new EvidenceFault(`${what} is no object`);
  return value;
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

/** Of a file of lines. Throws an EvidenceFault if the last line has no end, one is empty or has a carriage return. */
export const readLines = (bytes: Uint8Array, what: string): string[] => {
  if (bytes.length === 0) return [];
  const lines = textOf(bytes, what).split('\n');
  if (lines.pop() !== '') throw new EvidenceFault(`${what} ends within a line`);
  if (lines.some((line) => line === '' || line.includes('\r')))
    throw new EvidenceFault(`${what} has an empty line, or another line end`);
  return lines;
};
