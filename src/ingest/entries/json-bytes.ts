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
