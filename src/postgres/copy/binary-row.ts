/** One row of `COPY … TO STDOUT (FORMAT binary)`. Valid only while it is handed over: the driver uses its buffer again. */
export interface BinaryRow {
  readonly bytes: Buffer;
  /** Per field where its value starts in `bytes`, and how long it is: -1 for null. */
  readonly starts: Int32Array;
  readonly lengths: Int32Array;
}

const LENGTH_BYTES = 4;

/** Finds as many fields as the arrays have room for, the first one's length at `start`. Returns where the last one ends. */
export const fieldsAt = (bytes: Buffer, start: number, starts: Int32Array, lengths: Int32Array): number => {
  let at = start;
  for (let field = 0; field < starts.length; field += 1) {
    const length = bytes.readInt32BE(at);
    at += LENGTH_BYTES;
    starts[field] = at;
    lengths[field] = length;
    if (length > 0) at += length;
  }
  return at;
};
