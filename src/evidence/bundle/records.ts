import { z } from 'zod';
import { bytesOfBase64, EvidenceFault, textOf, uint16, uint32 } from '../bytes.ts';
import { count, instant, sha256Hex } from '../journal/statement.ts';
import { readStrictJson } from '../journal/statement-text.ts';
import { type EventLeaf, readEventLeaf } from '../leaf.ts';

export interface PayloadRecord {
  readonly leaf: Uint8Array;
  readonly raw: Uint8Array;
}

/** One event of `events/payload/…`: the leaf after its length in two bytes, raw after its length in four. */
export const writePayloadRecord = ({ leaf, raw }: PayloadRecord): Buffer =>
  Buffer.concat([uint16(leaf.length), leaf, uint32(raw.length), raw]);

/** One event of `events/withheld/…`. */
export const writeWithheldRecord = (leaf: Uint8Array): Buffer => Buffer.concat([uint16(leaf.length), leaf]);

/** Reads such a file in pieces: a file may be larger than memory, a record is not. */
export class PayloadSplitter {
  readonly #hasRaw: boolean;
  /** Unread bytes from `#start` to `#end`, in one buffer: one for each piece would cost more than the hashes. */
  #room = Buffer.alloc(0);
  #start = 0;
  #end = 0;
  #needed = 0;

  /** `hasRaw`: else a record is a leaf alone, and its raw is empty. */
  constructor(hasRaw = true) {
    this.#hasRaw = hasRaw;
  }

  /** The records that end in this piece: views, valid until the next call. */
  *push(piece: Uint8Array): Generator<PayloadRecord> {
    this.#append(piece);
    if (this.#end < this.#needed) return;
    const bytes = this.#room.subarray(0, this.#end);
    for (;;) {
      const length = leastLength(bytes, this.#start, this.#hasRaw);
      const start = this.#start;
      if (start + length > bytes.length) {
        this.#needed = length;
        return;
      }
      const leafEnd = start + 2 + bytes.readUInt16BE(start);
      this.#start = start + length;
      const raw = this.#hasRaw ? bytes.subarray(leafEnd + 4, this.#start) : nothing;
      yield { leaf: bytes.subarray(start + 2, leafEnd), raw };
    }
  }

  /** Throws an EvidenceFault if the last record is cut. */
  end(): void {
    if (this.#end > this.#start) throw new EvidenceFault('payload is cut off');
  }

  #append(piece: Uint8Array): void {
    const rest = this.#end - this.#start;
    const target = rest + piece.length > this.#room.length ? Buffer.alloc(2 * (rest + piece.length)) : this.#room;
    this.#room.copy(target, 0, this.#start, this.#end);
    target.set(piece, rest);
    this.#room = target;
    this.#start = 0;
    this.#end = rest + piece.length;
  }
}

const nothing = new Uint8Array();

/** An event of more bytes is refused: its length alone must not cost memory. Entries have some kilobytes. */
const MAX_RAW_BYTES = 67_108_864;

/** Exact once the lengths are there. */
const leastLength = (bytes: Buffer, at: number, hasRaw: boolean): number => {
  if (bytes.length < at + 2) return 2;
  const leafEnd = 2 + bytes.readUInt16BE(at);
  if (!hasRaw) return leafEnd;
  if (bytes.length < at + leafEnd + 4) return leafEnd + 4;
  const rawLength = bytes.readUInt32BE(at + leafEnd);
  if (rawLength > MAX_RAW_BYTES) throw new EvidenceFault(`an event of ${rawLength} bytes is longer than one can be`);
  return leafEnd + 4 + rawLength;
};

/* A bundle of a search: events with their proofs. It says nothing of other events: no tiles, no statements. */

/** `query.json` makes it a bundle of a search. */
export const foundFiles = {
  readme: 'README.txt',
  query: 'query.json',
  events: 'events.ndjson',
  completeness: 'completeness.json',
  /** Missing, like the next two, if nothing is signed. */
  proofs: 'proofs.ndjson',
  checkpoint: 'checkpoint',
  policy: 'policy.txt',
  verifier: 'verify.py',
} as const;

/** What a line of `events.ndjson` says beside the content; the leaf says it too. */
export interface EventWords {
  readonly position: number;
  readonly received_at: string;
  /** Null: none, or one that RFC 3339 cannot say. */
  readonly action_time: string | null;
  readonly source_kind: string;
  readonly source_id: string;
  readonly organization_id: string | null;
  readonly id: string;
  readonly defects: readonly string[];
}

export const wordsOfLeaf = (leaf: EventLeaf): EventWords => ({
  position: leaf.position,
  received_at: instantOf(leaf.receivedAtUs),
  action_time: leaf.actionTimeUs === undefined ? null : sayable(instantOf(leaf.actionTimeUs)),
  source_kind: leaf.sourceKind,
  source_id: leaf.sourceId,
  organization_id: leaf.organizationId ?? null,
  id: leaf.id,
  defects: leaf.defects,
});

const sayable = (instant: string): string | null => (/^\d{4}-/.test(instant) ? instant : null);

/** Ends with the content, to the byte. Line breaks, which JSON has between tokens alone, become spaces; `raw_text` has the exact text. */
export const writeEventLine = (words: EventWords, raw: string): string => {
  const head = JSON.stringify(words).slice(0, -1);
  return /[\r\n]/.test(raw)
    ? `${head},"raw_text":${JSON.stringify(raw)},"raw":${raw.replace(/[\r\n]/g, ' ')}}`
    : `${head},"raw":${raw}}`;
};

/** Throws an EvidenceFault if the line says anything else than these words. */
export const rawOfLine = (line: string, words: EventWords): string => {
  const head = `${JSON.stringify(words).slice(0, -1)},`;
  if (!line.startsWith(head)) throw new EvidenceFault('its words are not those of the leaf');
  const rest = line.slice(head.length);
  const raw = rest.startsWith('"raw":') ? rest.slice('"raw":'.length, -1) : exactText(rest);
  if (writeEventLine(words, raw) !== line) throw new EvidenceFault('the line is not as it is written');
  return raw;
};

const exactText = (rest: string): string => {
  try {
    const { raw_text: raw } = JSON.parse(`{${rest}`) as { readonly raw_text?: unknown };
    if (typeof raw === 'string') return raw;
  } catch {}
  throw new EvidenceFault('the line has no content');
};

/** A line of `proofs.ndjson`, which belongs to the same line of `events.ndjson`. */
export interface LeafProof {
  readonly position: number;
  /** Undefined: not signed. */
  readonly signed: { readonly leaf: Buffer; readonly hashes: readonly Buffer[] } | undefined;
}

export const writeProofLine = ({ position, signed }: LeafProof): string =>
  JSON.stringify({
    position,
    leaf: signed?.leaf.toString('base64') ?? null,
    ...(signed && { hashes: signed.hashes.map((hash) => hash.toString('base64')) }),
  });

export const readProofLine = (line: string): LeafProof => {
  const { position, leaf, hashes } = jsonObject(line, 'it is no object of JSON');
  if (typeof position !== 'number') throw new EvidenceFault('a proof has no position');
  if (leaf === null) return { position, signed: undefined };
  if (typeof leaf !== 'string' || !Array.isArray(hashes)) throw new EvidenceFault('a proof has leaf and hashes');
  const signed = {
    leaf: bytesOfBase64(leaf, 'the leaf'),
    hashes: hashes.map((hash) => bytesOfBase64(String(hash), 'a hash of the proof')),
  };
  if (readEventLeaf(signed.leaf).position !== position) throw new EvidenceFault('the leaf is of another position');
  return { position, signed };
};

export const jsonObject = (text: string, fault: string): Readonly<Record<string, unknown>> => {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {}
  throw new EvidenceFault(fault);
};

export interface ProvenEvent extends PayloadRecord {
  /** The text of a policy, to be compared with the keys that the reader was given. */
  readonly policy: string;
}

export const writeProvenEvent = (event: ProvenEvent): string => `${JSON.stringify(jsonOf(event), null, 2)}\n`;

/** Throws an EvidenceFault also if the words are not those of the leaf: people read these. */
export const readProvenEvent = (text: string): ProvenEvent => {
  const value = jsonObject(text, 'the event is not an object of JSON');
  const { leaf, raw, policy } = value;
  if (typeof leaf !== 'string' || typeof raw !== 'string' || typeof policy !== 'string')
    throw new EvidenceFault('an event has leaf, raw and policy');
  const event = { leaf: bytesOfBase64(leaf, 'the leaf'), raw: Buffer.from(raw), policy };
  const expected: Readonly<Record<string, unknown>> = jsonOf(event);
  for (const name of new Set([...Object.keys(value), ...Object.keys(expected)])) {
    if (JSON.stringify(value[name]) !== JSON.stringify(expected[name]))
      throw new EvidenceFault(`${name} is not what the leaf says`);
  }
  return event;
};

const jsonOf = ({ leaf, raw, policy }: ProvenEvent) => {
  const said = readEventLeaf(leaf);
  return {
    ...wordsOfLeaf(said),
    action_time: said.actionTimeUs === undefined ? null : instantOf(said.actionTimeUs),
    raw_sha256: Buffer.from(said.rawSha256).toString('hex'),
    raw: Buffer.from(raw).toString(),
    leaf: Buffer.from(leaf).toString('base64'),
    policy,
  };
};

const US_PER_SECOND = 1_000_000n;

/** RFC 3339 in UTC with microseconds; a number for years that it cannot name. */
const instantOf = (us: bigint): string => {
  const fraction = ((us % US_PER_SECOND) + US_PER_SECOND) % US_PER_SECOND;
  const second = new Date(Number((us - fraction) / 1_000n));
  if (Number.isNaN(second.getTime())) return `${us} microseconds since 1970`;
  return `${second.toISOString().slice(0, -5)}.${String(fraction).padStart(6, '0')}Z`;
};

/* `journal/reads.ndjson`: a line for each completed walk. Its bytes are hashed as they are; unknown fields are ignored. */

/** Line feed included. */
const MAX_READ_LINE_BYTES = 65_536;

const readRow = z.object({
  number: count.min(1),
  source_kind: z.string().min(1),
  source_id: z.string().min(1),
  read_at: instant,
  lane: z.string(),
  filter_hash: z.string(),
  /** Asked for, which is more than was claimed. */
  since: instant,
  before: instant,
  /** Of the walk. */
  pages: count,
  entries: count,
  /** The pages, and what was asked to prove their end. */
  answers: count,
  /** `Date` and `CF-Ray` of the first and the last answer. */
  first_date: instant.nullable(),
  first_cf_ray: z.string().nullable(),
  last_date: instant.nullable(),
  last_cf_ray: z.string().nullable(),
  /** SHA-256(before ‖ SHA-256(body)) over all answers, from 32 zero bytes on. */
  bodies_sha256: sha256Hex,
});
export type ReadRow = z.infer<typeof readRow>;

export const readReadRow = (line: Uint8Array): ReadRow => {
  const result = readRow.safeParse(readStrictJson(textOf(line, 'it'), 'it'));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new EvidenceFault(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`);
};

export class ReadLines {
  #open = Buffer.alloc(0);

  /** Throws an EvidenceFault for a line that is too long. */
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

  end(): void {
    if (this.#open.length > 0) throw new EvidenceFault('it ends within a line');
  }
}
