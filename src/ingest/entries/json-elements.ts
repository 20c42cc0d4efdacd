export interface ElementSpan {
  readonly start: number;
  readonly end: number;
  /** Levels of nesting inside the element: 0 for a string or number. */
  readonly depth: number;
  readonly oddNumber: boolean;
  readonly fraction: boolean;
}

export interface ArraySpan {
  readonly start: number;
  readonly end: number;
  readonly elements: readonly ElementSpan[];
}

const quote = 0x22;
const comma = 0x2c;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const backslash = 0x5c;

/** `jsonb` holds numbers as numeric: 131,072 digits before the point, 16,383 after. Well inside of both is plain. */
const PLAIN_NUMBER_LENGTH = 1_000;
const PLAIN_EXPONENT = 10_000;

/** The index behind the string. Jumps from quote to quote: strings are most of a page. */
export const endOfString = (text: string, start: number): number => {
  let end = text.indexOf('"', start + 1);
  while (end !== -1) {
    let escapes = 0;
    while (text.charCodeAt(end - 1 - escapes) === backslash) escapes += 1;
    if (escapes % 2 === 0) return end + 1;
    end = text.indexOf('"', end + 1);
  }
  throw new SyntaxError('a string does not end');
};

export const isNumberStart = (code: number): boolean => code === 0x2d || (code >= 0x30 && code <= 0x39);

export const endOfNumber = (text: string, start: number): number => {
  let end = start + 1;
  while (end < text.length) {
    const code = text.charCodeAt(end);
    // digits . + - e E
    if (!((code >= 0x30 && code <= 0x39) || code === 0x2e || code === 0x2b || code === 0x2d || (code | 0x20) === 0x65))
      break;
    end += 1;
  }
  return end;
};

export const isOddNumber = (number: string): boolean => {
  if (number.length > PLAIN_NUMBER_LENGTH) return true;
  const exponent = number.search(/[eE]/);
  return exponent !== -1 && Math.abs(Number(number.slice(exponent + 1))) > PLAIN_EXPONENT;
};

/** Finds the array of a top-level key in valid JSON, without changing a byte. As with JSON.parse, the last of several
 * equal keys counts. Undefined if the key is missing or holds something else. */
export const findArray = (text: string, key: string): ArraySpan | undefined => {
  let found: ArraySpan | undefined;
  let index = text.indexOf('{') + 1;
  let depth = 1;
  while (index < text.length && depth > 0) {
    const code = text.charCodeAt(index);
    if (code === quote) {
      const end = endOfString(text, index);
      const valueAt = depth === 1 ? valueOfKey(text, index, end, key) : undefined;
      if (valueAt === undefined) index = end;
      else if (text.charCodeAt(valueAt) === openBracket) {
        found = scanArray(text, valueAt);
        index = found.end;
      } else {
        found = undefined;
        index = valueAt;
      }
      continue;
    }
    if (code === openBrace || code === openBracket) depth += 1;
    else if (code === closeBrace || code === closeBracket) depth -= 1;
    index += 1;
  }
  return found;
};

const isSpace = (code: number): boolean => code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;

const skipSpace = (text: string, from: number): number => {
  let index = from;
  while (isSpace(text.charCodeAt(index))) index += 1;
  return index;
};

/** Where the value begins, if the string at [start, end) is this key; undefined for other keys and for values. */
const valueOfKey = (text: string, start: number, end: number, key: string): number | undefined => {
  const colon = skipSpace(text, end);
  if (text[colon] !== ':') return undefined;
  const name = text.slice(start, end);
  if (name !== `"${key}"` && JSON.parse(name) !== key) return undefined;
  return skipSpace(text, colon + 1);
};

const scanArray = (text: string, start: number): ArraySpan => {
  const elements: ElementSpan[] = [];
  let index = skipSpace(text, start + 1);
  while (text.charCodeAt(index) !== closeBracket) {
    const element = scanElement(text, index);
    elements.push(element);
    index = skipSpace(text, element.end);
    if (text.charCodeAt(index) === comma) index = skipSpace(text, index + 1);
  }
  return { start, end: index + 1, elements };
};

const scanElement = (text: string, start: number): ElementSpan => {
  let index = start;
  let level = 0;
  let depth = 0;
  let oddNumber = false;
  let fraction = false;
  do {
    const code = text.charCodeAt(index);
    if (code === quote) index = endOfString(text, index);
    else if (isNumberStart(code)) {
      const end = endOfNumber(text, index);
      const number = text.slice(index, end);
      fraction ||= /[.eE]/.test(number);
      oddNumber ||= isOddNumber(number);
      index = end;
    } else if (code === openBrace || code === openBracket) {
      level += 1;
      if (level > depth) depth = level;
      index += 1;
    } else if (code === closeBrace || code === closeBracket) {
      level -= 1;
      index += 1;
    } else if (level === 0) index += text.startsWith('false', index) ? 5 : 4;
    else index += 1;
    if (index > text.length || Number.isNaN(code)) throw new SyntaxError('the array does not end');
  } while (level > 0);
  return { start, end: index, depth, oddNumber, fraction };
};
