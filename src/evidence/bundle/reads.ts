import { z } from 'zod';
import { textOf } from '../bytes.ts';
import { EvidenceFault } from '../evidence-fault.ts';
import { count, instant, sha256Hex } from '../journal/fields.ts';
import { readStrictJson } from '../journal/strict-json.ts';

/*
 * `journal/reads.ndjson`: the requests behind what is claimed as read. A line is a walk over the log of one source that has come to its end. Its bytes
 * are hashed as they are; a reader leaves alone fields that it does not know.
 */

/** A line is no longer, its line feed included. */
const MAX_READ_LINE_BYTES = 65_536;

const header = { date: instant.nullable(), cfRay: z.string().nullable() };
const readRow = z.object({
  /** From 1, for each source. */
  number: count.min(1),
  source_kind: z.string().min(1),
  source_id: z.string().min(1),
  /** When it was stored, by the clock of the database. */
  read_at: instant,
  lane: z.string(),
  filter_hash: z.string(),
  /** The window that was asked for, which is more than was claimed. */
  since: instant,
  before: instant,
  /** Pages of the walk, and entries on them. */
  pages: count,
  entries: count,
  /** Those pages, and the answers to questions that proved their end. */
  answers: count,
  /** The headers `Date` and `CF-Ray` of the first and the last answer. */
  first_date: header.date,
  first_cf_ray: header.cfRay,
  last_date: header.date,
  last_cf_ray: header.cfRay,
  /** SHA-256(before ‖ SHA-256(body)) over all of these answers, from 32 zero bytes on. */
  bodies_sha256: sha256Hex,
});
export type ReadRow = z.infer<typeof readRow>;

/** Reads a line without its line feed. Throws an EvidenceFault for what is none. */
export const readReadRow = (line: Uint8Array): ReadRow => {
  const result = readRow.safeParse(readStrictJson(textOf(line, 'it'), 'it'));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new EvidenceFault(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`);
};

/** Splits such a file, which may be larger than memory, into its lines. */
export class ReadLines {
  #open = Buffer.alloc(0);

  /** The lines that end in this piece. Throws an EvidenceFault for one that is too long. */
  *push(piece: Uint8Array): Generator<Buffer> {
    const bytes = Buffer.concat([this.#open, piece]);
    let start = 0;
    for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a, start)) {
      if (end + 1 - start > MAX_READ_LINE_BYTES) throw new EvidenceFault('a line is too long');
      yield bytes.subarray(start, end);
      start = end + 1;
    }
    this.#open = Buffer.from(bytes.subarray(start));
    if (this.#open.length >= MAX_READ_LINE_BYTES) throw new EvidenceFault('a line is too long');
  }

  /** Throws an EvidenceFault if the file ends within a line. */
  end(): void {
    if (this.#open.length > 0) throw new EvidenceFault('it ends within a line');
  }
}
