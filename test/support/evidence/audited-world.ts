import type { Pool } from 'pg';
import type { LogSigner } from '../../../src/evidence/builder/ports.ts';
import { createTestDatabase, type TestDatabase } from '../postgres/database.ts';
import { commit, entryText, newSource } from '../postgres/store-fixture.ts';
import { openWorld } from '../sync/sync-world.ts';
import { newestNotes, newSigner, openBuilder } from './builder-world.ts';

const DAY_MS = 86_400_000;

/** What a daemon collected from a Cloudflare with all faults, and signed: holes, a dropped month, a hold, a changed content. */
export interface AuditedWorld extends AsyncDisposable {
  readonly signer: LogSigner;
  /** As it was after the first part, and as it is after all of it. */
  readonly early: TestDatabase;
  readonly late: TestDatabase;
  /** The last checkpoints of either log, of both moments. */
  readonly kept: Readonly<Record<'early' | 'late', readonly string[]>>;
  /** Month `2026-09` and its like: one that was dropped before there was evidence, one that was dropped and stated, one that is there. */
  readonly months: { readonly adopted: string; readonly dropped: string; readonly present: string };
}

/** The month of a time in UTC, as `2026-01`. */
const monthOfMs = (ms: number): string => new Date(ms).toISOString().slice(0, 7);

/** Drops a month that is older than 30 days. Throws if something is in the way. */
const dropMonth = async (pool: Pool, month: string): Promise<void> => {
  const { rows } = await pool.query<{ obstacle: string | null }>('select orgtrail_drop_month($1, $2) as obstacle', [
    `${month}-01`,
    '30 days',
  ]);
  if (rows[0]?.obstacle !== null) throw new Error(rows[0]?.obstacle ?? 'nothing was dropped');
};

export const openAuditedWorld = async (seed: number): Promise<AuditedWorld> => {
  const world = await openWorld(
    { seed, organizations: 4, entries: 1_200, historyMs: 130 * DAY_MS, faults: 'all', pageCap: 100 },
    { ORGTRAIL_HISTORY: '140d', ORGTRAIL_SETTLE: 'none' },
  );
  const { pool } = world.database;
  const signer = newSigner();
  // With all faults it takes several attempts, and not every entry is needed here.
  const run = await world.open();
  for (let round = 0; round < 3; round += 1) {
    await world.endRests();
    await run.cycle().catch(() => {});
  }
  await run.close();
  const { rows } = await pool.query<{ month: string }>(
    `select distinct to_char(action_time at time zone 'UTC', 'YYYY-MM') as month from audit_events where isfinite(action_time) order by 1`,
  );
  const [adopted = '', dropped = '', present = ''] = rows.map(({ month }) => month);
  if (present > monthOfMs(Date.now())) throw new Error('there are too few months');
  await dropMonth(pool, adopted);
  await openBuilder(pool, signer).build();
  const early = await createTestDatabase({ copyOf: world.database });

  const later = Array.from({ length: 150 }, (_, index) => entryText(`later-${index}`, Date.now() - index * 1_000));
  await commit(pool, await newSource(pool, 'a-later-source'), later);
  await pool.query(
    `insert into holds (reason, created_by, since) values ('case 17', 'J. Doe', date_trunc('month', now(), 'UTC'))`,
  );
  await pool.query(
    `insert into audit_event_changes (source_kind, source_id, event_id, position, raw, raw_sha256)
     select source_kind, source_id, id, position, '{"later": "content"}', encode(sha256('{"later": "content"}'), 'hex')
     from audit_events order by position desc limit 1`,
  );
  await openBuilder(pool, signer).build();
  await dropMonth(pool, dropped);
  await openBuilder(pool, signer).build();
  await pool.query('update holds set released_at = clock_timestamp(), released_as = session_user');
  await openBuilder(pool, signer).build();
  const late = await createTestDatabase({ copyOf: world.database });
  await world[Symbol.asyncDispose]();
  return {
    signer,
    early,
    late,
    kept: { early: await newestNotes(early.pool), late: await newestNotes(late.pool) },
    months: { adopted, dropped, present },
    [Symbol.asyncDispose]: async () => {
      await early.close();
      await late.close();
    },
  };
};
