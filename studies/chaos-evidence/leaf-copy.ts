import { createHash } from 'node:crypto';
import type { Pool } from 'pg';

/*
 * What the leaves of the log are, made from the rows of a server that is left alone, by the specification and without a line of
 * src/evidence. What a builder had in memory, and the tiles that it stored, play no part in it.
 */

/** Leaf hashes, one after the other, 32 bytes each. */
export type LeafHashes = Buffer;

const CHUNK = 20_000;
const HASH_BYTES = 32;
const NO_TIME = -(2n ** 63n);

const sha256 = (...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

const u64 = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
};

const i64 = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return bytes;
};

const withLength = (text: string): Buffer => {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
};

interface Row {
  readonly position: number;
  readonly received: string;
  /** Null: `-infinity`. */
  readonly acted: string | null;
  readonly month: string;
  readonly kind: string;
  readonly source: string;
  readonly organization: string;
  readonly id: string;
  readonly defects: string;
  readonly raw: string;
}

/** The first leaves, so many: statements stand at their indexes, and events between them in the order of their positions. */
export const copyLeaves = async (pool: Pool, size: number): Promise<LeafHashes> => {
  const { rows: keys } = await pool.query<{ month: string; key: Buffer }>('select month, key from evidence_month_keys');
  const keyOf = new Map(keys.map(({ month, key }) => [month, key]));
  const { rows: statements } = await pool.query<{ index: number; text: string }>(
    'select index::float8 as index, text from evidence_statements where index < $1 order by index',
    [size],
  );
  const texts = new Map(statements.map(({ index, text }) => [index, text]));
  const hashes = Buffer.alloc(size * HASH_BYTES);
  let filled = 0;
  const put = (data: Buffer) => {
    sha256(Buffer.of(0), data).copy(hashes, filled * HASH_BYTES);
    filled += 1;
  };
  const putStatements = () => {
    for (let text = texts.get(filled); text !== undefined; text = texts.get(filled))
      put(Buffer.concat([Buffer.from('orgtrail/statement/v2\n'), Buffer.from(text)]));
  };
  for (let after = 0; ; ) {
    const { rows } = await pool.query<Row>(eventRows, [after, CHUNK]);
    for (const row of rows) {
      putStatements();
      if (filled >= size) return hashes;
      put(eventLeaf(row, keyOf.get(row.month)));
      after = row.position;
    }
    if (rows.length < CHUNK) break;
  }
  putStatements();
  return hashes;
};

const eventRows = `
  select position::float8 as position, (extract(epoch from received_at) * 1000000)::bigint::text as received,
    case when isfinite(action_time) then (extract(epoch from action_time) * 1000000)::bigint::text end as acted,
    case when isfinite(action_time) then to_char(action_time at time zone 'UTC', 'YYYY-MM') else 'none' end as month,
    source_kind as kind, source_id as source, coalesce(organization_id, '') as organization, id,
    coalesce(array_to_string(defects, ','), '') as defects, raw::text as raw
  from audit_events where position > $1 order by position limit $2`;

const eventLeaf = (row: Row, key: Buffer | undefined): Buffer => {
  if (key === undefined) throw new Error(`month ${row.month} of position ${row.position} has no key`);
  const raw = Buffer.from(row.raw);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(raw.length);
  return Buffer.concat([
    Buffer.from('orgtrail/event/v2\n'),
    sha256(key, u64(row.position)).subarray(0, 16),
    u64(row.position),
    i64(BigInt(row.received)),
    i64(row.acted === null ? NO_TIME : BigInt(row.acted)),
    ...[row.kind, row.source, row.organization, row.id, row.defects].map(withLength),
    length,
    sha256(raw),
  ]);
};
