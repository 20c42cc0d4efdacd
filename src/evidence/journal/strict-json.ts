import { EvidenceFault } from '../evidence-fault.ts';

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
