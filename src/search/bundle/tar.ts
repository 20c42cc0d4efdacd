const BLOCK_BYTES = 512;
const MAX_NAME_BYTES = 100;

/** A file of an archive, whose pieces are all there. */
export interface TarFile {
  /** ASCII, 100 characters at most. */
  readonly name: string;
  readonly pieces: readonly Buffer[];
}

/** An archive in the form ustar (POSIX.1-1988), which every tar reads, piece by piece. `seconds` is the time of all files. */
export function* writeTar(files: Iterable<TarFile>, seconds: number): Generator<Buffer, void, void> {
  for (const { name, pieces } of files) {
    const bytes = pieces.reduce((sum, { length }) => sum + length, 0);
    yield header(name, bytes, seconds);
    yield* pieces;
    yield Buffer.alloc((BLOCK_BYTES - (bytes % BLOCK_BYTES)) % BLOCK_BYTES);
  }
  yield Buffer.alloc(2 * BLOCK_BYTES);
}

/** Offsets and widths are those of the standard. */
const header = (name: string, bytes: number, seconds: number): Buffer => {
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) throw new RangeError(`the name ${name} is too long for ustar`);
  const block = Buffer.alloc(BLOCK_BYTES);
  block.write(name, 0);
  block.write('0000644\0', 100);
  block.write('0000000\0', 108);
  block.write('0000000\0', 116);
  block.write(`${octal(bytes)}\0`, 124);
  block.write(`${octal(seconds)}\0`, 136);
  // The sum counts its own field as spaces.
  block.write('        ', 148);
  block.write('0', 156);
  block.write('ustar\u000000', 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
};

const octal = (value: number): string => {
  const text = Math.floor(value).toString(8).padStart(11, '0');
  if (text.length > 11) throw new RangeError(`${value} is too large for ustar`);
  return text;
};
