import type { Pool } from 'pg';
import { createEvidenceStore } from '../builder/evidence-store.sql.ts';
import { readTiles } from '../builder/load-logs.sql.ts';
import { readEventRow } from '../growth/event-row.ts';
import { everyKey, keyHistory } from '../growth/keys-in-force.ts';
import { writeEventLeaf } from '../leaves/leaf.ts';
import { monthOf, saltOf } from '../leaves/month-key.ts';
import { parseVerifierKey, printVerifierKey } from '../notes/verifier-key.ts';
import { whoSigned } from '../notes/who-signed.ts';
import type { ServedStore, SignedLog } from './served-evidence.ts';

const lastCheckpoint = `select c.size::float8 as size, c.root, c.note from evidence_logs l cross join lateral (
  select size, root, note from evidence_checkpoints c where c.log = l.name and c.generation = l.generation
  order by c.size desc limit 1) as c`;

/** What the account must be allowed to read: what `orgtrail_evidence` is. */
export const createServedStore = (pool: Pool): ServedStore => {
  const store = createEvidenceStore(pool, 'serve', 0);
  return {
    signed: async ({ feedId, generation, log }) => {
      const { rows } = await pool.query<SignedLog>(
        `${lastCheckpoint} where l.name = $1 and l.generation = $2 and right(l.origin, length($3)) = $3`,
        [log, generation, `/${feedId}.${generation}/${log}`],
      );
      return rows[0];
    },
    tiles: ({ generation, log }, tiles) => readTiles(pool, log, generation, tiles),
    leaves: async (after, until) => {
      const { rows } = await pool.query<{ month: string; key: Buffer }>('select month, key from evidence_month_keys');
      const keys = new Map(rows.map(({ month, key }) => [month, key]));
      const leaves = new Map<number, Buffer>();
      await store.copyEvents(after, until, (row) => {
        const event = readEventRow(row);
        const key = keys.get(monthOf(event.actionTimeUs));
        // Dropped between the two statements.
        if (key === undefined) return;
        leaves.set(event.position, writeEventLeaf({ ...event, salt: saltOf(key, event.position) }));
      });
      return leaves;
    },
    statements: async (generation, from, to) => {
      const sql =
        'select text from evidence_journal where generation = $1 and index >= $2 and index < $3 order by index';
      return (await pool.query<{ text: string }>(sql, [generation, from, to])).rows.map(({ text }) => text);
    },
    vkeys: async () => {
      const { rows } = await pool.query<{ text: string }>(
        `select j.text from evidence_journal j join evidence_logs l on l.generation = j.generation and l.name = 'journal'
         where j.kind in ('genesis', 'fork', 'key') and j.index < l.signed_size order by j.generation desc, j.index desc`,
      );
      const { rows: last } = await pool.query<SignedLog>(lastCheckpoint);
      const vkeys = [...new Set(rows.flatMap(({ text }) => vkeysIn(text)))];
      return whoSigned(
        last.map(({ note }) => note),
        vkeys.map(parseVerifierKey),
      ).map(printVerifierKey);
    },
    lastSigned: async () => {
      const sql = `${lastCheckpoint} where l.name = 'events' order by l.generation desc limit 1`;
      return (await pool.query<SignedLog>(sql)).rows[0];
    },
  };
};

const vkeysIn = (text: string): readonly string[] => everyKey(keyHistory([text]));
