/**
 * The first `count` numbers of a list of runs, as Parquet has numbers of `width` bits: repeated ones, and packed ones by eight.
 */
export const readRuns = (bytes: Buffer, start: number, width: number, count: number): Uint32Array => {
  const numbers = new Uint32Array(count);
  if (width === 0) return numbers;
  const bytesEach = (width + 7) >> 3;
  let [at, done] = [start, 0];
  while (done < count) {
    let [header, shift] = [0, 0];
    for (;;) {
      const byte = bytes.readUInt8(at);
      at += 1;
      header |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
      shift += 7;
    }
    if ((header & 1) === 0) {
      const end = Math.min(count, done + (header >>> 1));
      if (end === done) throw new Error('a run of no numbers');
      numbers.fill(bytes.readUIntLE(at, bytesEach), done, end);
      at += bytesEach;
      done = end;
    } else {
      const size = (header >>> 1) * width;
      done = unpack(bytes.subarray(at, at + size), width, numbers, done);
      at += size;
    }
  }
  return numbers;
};

/** Returns how many are there now. */
const unpack = (bytes: Buffer, width: number, numbers: Uint32Array, done: number): number => {
  const end = Math.min(numbers.length, done + Math.floor((8 * bytes.length) / width));
  if (end === done) throw new Error('a run of no numbers');
  const mask = 2 ** width - 1;
  // Up to 24 bits and what is left of a byte fit into 32.
  let [at, held, bits] = [0, 0, 0];
  for (let n = done; n < end; n += 1) {
    while (bits < width) {
      held |= (bytes[at] ?? 0) << bits;
      at += 1;
      bits += 8;
    }
    numbers[n] = held & mask;
    held >>>= width;
    bits -= width;
  }
  return end;
};
