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

/** Finds the array of a top-level key in valid JSON, without changing a byte. Undefined if the key is missing, is there
 * twice or holds something else. */
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
      else {
        if (found !== undefined || text.charCodeAt(valueAt) !== openBracket) return undefined;
        found = scanArray(text, valueAt);
        index = found.end;
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

/** The text is then read with care. Not an Error, which costs a stack. */
export const notPlain = Symbol('not plain');

export const quote = 0x22;
export const openBrace = 0x7b;
export const openBracket = 0x5b;
const closeBrace = 0x7d;
const closeBracket = 0x5d;
const comma = 0x2c;
const colon = 0x3a;
const backslash = 0x5c;
const minus = 0x2d;
const point = 0x2e;
const zero = 0x30;
const lowerU = 0x75;

/** Far above what an audit log has, far below what recursion takes. */
const MAX_DEPTH = 100;
/** Both well inside of what `jsonb` holds. */
const MAX_NUMBER_BYTES = 1_000;
const MAX_EXPONENT_DIGITS = 4;

const escaped = new Set([...'"\\/bfnrt'].map((character) => character.charCodeAt(0)));
const literals = ['true', 'false', 'null'].map((text) => Buffer.from(text));

const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39;
const isHighSurrogate = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff;
const isLowSurrogate = (unit: number): boolean => unit >= 0xdc00 && unit <= 0xdfff;

/**
 * Goes over JSON in bytes (valid UTF-8) from token to token: RFC 8259 to the letter, and of that only what PostgreSQL's
 * `jsonb` takes (no NUL, no half of a surrogate pair, no extreme number). Throws `notPlain` for anything else.
 */
export class JsonBytes {
  readonly bytes: Uint8Array;
  /** The next token, behind whitespace. */
  at = 0;
  /** The end of the last object or array, before the whitespace that follows. */
  closed = 0;
  /** The last string or key, without its quotes. */
  start = 0;
  end = 0;
  isEscaped = false;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.space();
  }

  /** The first byte of the next token; NaN at the end. */
  peek(): number {
    return this.bytes[this.at] ?? Number.NaN;
  }

  openObject(): boolean {
    this.#expect(openBrace);
    return this.peek() !== closeBrace || this.#next(closeBrace);
  }

  nextMember(): boolean {
    return this.#next(closeBrace);
  }

  openArray(): boolean {
    this.#expect(openBracket);
    return this.peek() !== closeBracket || this.#next(closeBracket);
  }

  nextElement(): boolean {
    return this.#next(closeBracket);
  }

  key(): void {
    this.string();
    this.#expect(colon);
  }

  is(text: Uint8Array): boolean {
    if (this.end - this.start !== text.length) return false;
    for (let index = 0; index < text.length; index += 1) {
      if (this.bytes[this.start + index] !== text[index]) return false;
    }
    return true;
  }

  /** Goes over a string; `start`, `end` and `isEscaped` are of it. */
  string(): void {
    const { bytes } = this;
    if (this.peek() !== quote) throw notPlain;
    let at = this.at + 1;
    this.start = at;
    this.isEscaped = false;
    for (;;) {
      const code = bytes[at];
      if (code === quote) break;
      if (code === backslash) {
        this.isEscaped = true;
        at = this.#escape(at);
        continue;
      }
      if (code === undefined || code < 0x20) throw notPlain;
      at += 1;
    }
    this.end = at;
    this.at = at + 1;
    this.space();
  }

  skipValue(depth = 0): void {
    if (depth > MAX_DEPTH) throw notPlain;
    const code = this.peek();
    if (code === quote) this.string();
    else if (code === openBrace) {
      for (let more = this.openObject(); more; more = this.nextMember()) {
        this.key();
        this.skipValue(depth + 1);
      }
    } else if (code === openBracket) {
      for (let more = this.openArray(); more; more = this.nextElement()) this.skipValue(depth + 1);
    } else if (this.isNumber()) this.number();
    else this.#literal();
  }

  isNumber(): boolean {
    const code = this.peek();
    return code === minus || isDigit(code);
  }

  number(): boolean {
    const { bytes, at: start } = this;
    let at = start + (bytes[start] === minus ? 1 : 0);
    const first = at;
    at = this.#digits(at);
    if (bytes[first] === zero && at > first + 1) throw notPlain;
    const isInteger = bytes[at] !== point && ((bytes[at] ?? 0) | 0x20) !== 0x65;
    if (bytes[at] === point) at = this.#digits(at + 1);
    if (((bytes[at] ?? 0) | 0x20) === 0x65) {
      const sign = bytes[at + 1];
      const digits = at + (sign === minus || sign === 0x2b ? 2 : 1);
      at = this.#digits(digits);
      if (at - digits > MAX_EXPONENT_DIGITS) throw notPlain;
    }
    if (at - start > MAX_NUMBER_BYTES) throw notPlain;
    this.at = at;
    this.space();
    return isInteger;
  }

  expectEnd(): void {
    if (this.at !== this.bytes.length) throw notPlain;
  }

  space(): void {
    const { bytes } = this;
    let code = bytes[this.at];
    while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) {
      this.at += 1;
      code = bytes[this.at];
    }
  }

  #expect(code: number): void {
    if (this.peek() !== code) throw notPlain;
    this.at += 1;
    this.space();
  }

  #next(close: number): boolean {
    const code = this.peek();
    if (code !== comma && code !== close) throw notPlain;
    this.at += 1;
    if (code === close) this.closed = this.at;
    this.space();
    return code === comma;
  }

  #digits(from: number): number {
    let at = from;
    while (isDigit(this.bytes[at] ?? 0)) at += 1;
    if (at === from) throw notPlain;
    return at;
  }

  #literal(): void {
    const { bytes, at } = this;
    const literal = literals.find((text) => text.every((code, index) => bytes[at + index] === code));
    if (literal === undefined) throw notPlain;
    this.at += literal.length;
    this.space();
  }

  #escape(at: number): number {
    if (this.bytes[at + 1] !== lowerU) {
      if (!escaped.has(this.bytes[at + 1] ?? 0)) throw notPlain;
      return at + 2;
    }
    const unit = this.#unit(at + 2);
    if (unit === 0 || isLowSurrogate(unit)) throw notPlain;
    if (!isHighSurrogate(unit)) return at + 6;
    const isPair = this.bytes[at + 6] === backslash && this.bytes[at + 7] === lowerU;
    if (!isPair || !isLowSurrogate(this.#unit(at + 8))) throw notPlain;
    return at + 12;
  }

  #unit(at: number): number {
    let unit = 0;
    for (let index = at; index < at + 4; index += 1) {
      const code = this.bytes[index] ?? 0;
      const letter = code | 0x20;
      if (isDigit(code)) unit = unit * 16 + code - 0x30;
      else if (letter >= 0x61 && letter <= 0x66) unit = unit * 16 + letter - 0x57;
      else throw notPlain;
    }
    return unit;
  }
}
