const ZERO = 48;
const QUOTE = 34;
const BACKSLASH = 92;
const FIRST_PRINTABLE = 32;

/** Writes lines of JSON into memory of others, byte by byte: no string is made that is only thrown away. */
export class LineBuffer {
  private bytes: Buffer = Buffer.alloc(0);
  private end = 0;

  /** From now on it writes into this memory, from its beginning. */
  writeInto(memory: Buffer): void {
    this.bytes = memory;
    this.end = 0;
  }

  written(): Buffer {
    return this.bytes.subarray(0, this.end);
  }

  get length(): number {
    return this.end;
  }

  truncate(length: number): void {
    this.end = length;
  }

  /** To be asked before anything is written: the methods below do not look. */
  hasRoom(bytes: number): boolean {
    return this.end + bytes <= this.bytes.length;
  }

  byte(value: number): void {
    this.bytes[this.end] = value;
    this.end += 1;
  }

  text(text: string): void {
    this.end += this.bytes.write(text, this.end, 'utf8');
  }

  ready(source: Uint8Array): void {
    this.bytes.set(source, this.end);
    this.end += source.length;
  }

  slice(source: Buffer, from: number, length: number): void {
    this.end += source.copy(this.bytes, this.end, from, from + length);
  }

  /** An integer. */
  number(value: number): void {
    let count = 1;
    for (let power = 10; power <= value; power *= 10) count += 1;
    let rest = value;
    for (let at = this.end + count - 1; at >= this.end; at -= 1) {
      const tenth = Math.floor(rest / 10);
      this.bytes[at] = ZERO + rest - tenth * 10;
      rest = tenth;
    }
    this.end += count;
  }

  /** An integer from 0 to 99. */
  twoDigits(value: number): void {
    const tens = (value / 10) | 0;
    this.bytes[this.end] = ZERO + tens;
    this.bytes[this.end + 1] = ZERO + value - tens * 10;
    this.end += 2;
  }

  /** A JSON string of UTF-8 bytes. False, and nothing is written, if something in it needs an escape. */
  quoted(source: Buffer, from: number, length: number): boolean {
    const { bytes } = this;
    let at = this.end;
    bytes[at++] = QUOTE;
    for (let n = from; n < from + length; n += 1) {
      const byte = source[n] as number;
      if (byte < FIRST_PRINTABLE || byte === QUOTE || byte === BACKSLASH) return false;
      bytes[at++] = byte;
    }
    bytes[at++] = QUOTE;
    this.end = at;
    return true;
  }
}
