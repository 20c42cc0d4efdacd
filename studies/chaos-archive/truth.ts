import { createHash } from 'node:crypto';
import type { Pool } from 'pg';
import { rowsOfParquet } from '../../test/support/archive/read-objects.ts';
import type { SeedWorld } from './archive-world.ts';

/** Everything that a month ever had: what was in the table when nothing was dropped yet, and what was added since. */
export interface Truth {
  /** Takes note of all that is in the database now. */
  note(): Promise<void>;
  /** What is neither in the database nor, to the byte, in an object of the catalogue. */
  lost(): Promise<readonly string[]>;
}

interface Row {
  readonly kind: 'event' | 'change';
  readonly month: string;
  readonly id: string;
  readonly text: string;
}

export const openTruth = ({ owner, bucket }: SeedWorld): Truth => {
  const known = new Map<string, Row>();
  return {
    note: async () => {
      for (const row of await rowsHere(owner)) known.set(keyOf(row), row);
    },
    lost: async () => {
      const here = new Map((await rowsHere(owner)).map((row) => [keyOf(row), row.text]));
      const missing = [...known].filter(([key, { text }]) => here.get(key) !== text);
      if (missing.length === 0) return [];
      const archived = await rowsInArchive(owner, bucket);
      return missing.filter(([key, { text }]) => archived.get(key) !== text).map(([key]) => key);
    },
  };
};

/** A later content has no other name than what it says. */
const keyOf = ({ kind, id, text }: Pick<Row, 'kind' | 'id' | 'text'>): string =>
  kind === 'event' ? `event ${id}` : `change ${id} ${createHash('sha256').update(text).digest('hex')}`;

const rowsHere = async (pool: Pool): Promise<readonly Row[]> => {
  const { rows } = await pool.query<Row>(
    `select 'event' as kind, to_char(e.action_time at time zone 'UTC', 'YYYY-MM') as month, e.id, e.raw::text as text from audit_events e
     union all select 'change', to_char(e.action_time at time zone 'UTC', 'YYYY-MM'), c.event_id, c.raw::text
     from audit_event_changes c join audit_events e on e.position = c.position`,
  );
  return rows;
};

/** What the catalogue says to be in the archive alone, by another reader of Parquet. An object with other bytes has nothing. */
const rowsInArchive = async (pool: Pool, bucket: SeedWorld['bucket']): Promise<ReadonlyMap<string, string>> => {
  const { rows: objects } = await pool.query<{ kind: string; key: string; sha256: string }>(
    'select kind, key, sha256 from archive_objects where dropped_at is not null and superseded_at is null',
  );
  const found = new Map<string, string>();
  for (const { kind, key, sha256 } of objects) {
    const bytes = (await bucket.get(key))?.bytes;
    if (bytes === undefined || createHash('sha256').update(bytes).digest('hex') !== sha256) continue;
    for (const row of await rowsOfParquet(bytes)) {
      const text = String(row['raw']);
      const id = String(kind === 'events' ? row['id'] : row['event_id']);
      found.set(keyOf({ kind: kind === 'events' ? 'event' : 'change', id, text }), text);
    }
  }
  return found;
};
