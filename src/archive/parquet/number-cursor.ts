/** Goes over bytes that have numbers of variable length, seven bits to a byte, as Thrift's compact protocol and Parquet have them. */
export class NumberCursor {
  readonly bytes: Buffer;
  /** Where the next number begins. */
  at: number;

  constructor(bytes: Buffer, at: number) {
    this.bytes = bytes;
    this.at = at;
  }

  /** Exact up to 2^53. Throws a RangeError at the end of the bytes. */
  unsigned(): number {
    let [value, factor] = [0, 1];
    for (;;) {
      const byte = this.bytes.readUInt8(this.at);
      this.at += 1;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
      factor *= 0x80;
    }
  }

  skip(bytes: number): void {
    this.at += bytes;
  }

  /** Zigzag: 0, -1, 1, -2, … */
  signed(): number {
    const value = this.unsigned();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }
}
