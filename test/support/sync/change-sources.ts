import type { Pool } from 'pg';

const committed = `update sources set commit_seq = commit_seq + 1, last_attempt_at = clock_timestamp() where id = any($1)`;

const lane = (name: string, state: string): string =>
  `update lanes set state = ${state} where source_id = any($1) and lane = '${name}'`;

const walk = (name: string, pages: number): string =>
  `jsonb_build_object('walk', jsonb_build_object('lane', '${name}', 'pages', ${pages},
    'claim', jsonb_build_object('fromMs', $2::float8 - 864e5, 'toMs', $2::float8 - 36e5)))`;

const withWalk = (name: string): readonly string[] => [committed, lane(name, `state || ${walk(name, 1)}`)];

const covered = (pass: number, agoSeconds: string): string =>
  `update coverage set ranges = ranges + tstzmultirange(tstzrange(lower(ranges), to_timestamp($2::float8 / 1000) - interval '${agoSeconds}'))
   where source_id = any($1) and pass = ${pass}`;

const hole = (pass: number, ago: string, next: string): string =>
  `insert into coverage_holes (source_kind, source_id, filter_hash, pass, since, before, reason, message, next_attempt_at)
   select 'account', id, 'none', ${pass}, t, t + interval '1 second', 'server', 'a hole', clock_timestamp() + interval '${next}'
   from unnest($1::text[]) id, date_trunc('seconds', to_timestamp($2::float8 / 1000) - interval '${ago}') t on conflict do nothing`;

/** What may happen to sources between two plans: by commits, and without. */
const changes: readonly (readonly string[])[] = [
  [committed, covered(0, '2 seconds')],
  [committed, covered(1, '20 minutes')],
  [committed, covered(2, '30 hours')],
  // A gap, of the first reading and of a pass.
  [
    committed,
    `update coverage set ranges = ranges - tstzmultirange(tstzrange(to_timestamp($2::float8 / 1000) - interval '9 days', to_timestamp($2::float8 / 1000) - interval '8 days'))
     where source_id = any($1) and pass in (0, 3)`,
  ],
  [
    committed,
    `delete from coverage where source_id = any($1)`,
    `update sources set event_rate = null where id = any($1)`,
  ],
  [committed, `update sources set event_rate = 30, recent_event_rate = 90, largest_page = 700 where id = any($1)`],
  withWalk('live'),
  withWalk('settle'),
  withWalk('backfill'),
  withWalk('scrub'),
  [committed, `update lanes set state = state - 'walk' where source_id = any($1)`],
  [
    committed,
    lane(
      'backfill',
      `state || jsonb_build_object('older', jsonb_build_object('due', true, 'beforeMs', $2::float8 - 864e6))`,
    ),
  ],
  [committed, lane('scrub', `state - 'round'`)],
  [committed, lane('scrub', `jsonb_set(state, '{round,beganMs}', to_jsonb($2::float8 - 8 * 864e5))`)],
  [committed, lane('scrub', `jsonb_set(state, '{round,read}', '[]')`)],
  [committed, `update coverage set proven = '{}' where source_id = any($1) and pass = 0`],
  [committed, hole(0, '3 hours', '1 hour')],
  [committed, hole(1, '2 days', '1 hour')],
  [committed, hole(0, '2 seconds', '1 hour')],
  [
    committed,
    `update lanes set failures = length(lane), last_failure = 'server', last_error = lane || ' of ' || source_id,
       last_attempt_at = clock_timestamp(), next_attempt_at = clock_timestamp() + length(lane) * interval '1 hour'
     where source_id = any($1) and lane in ('live', 'settle', 'scrub')`,
  ],
  [committed, `update lanes set failures = 1 where source_id = any($1) and lane = 'backfill'`],
  // Without a commit. What ends does so for half of all.
  [
    `update coverage_holes set next_attempt_at = clock_timestamp() - interval '1 minute' where source_id = any($1) or source_id < '8'`,
  ],
  [
    `update lanes set next_attempt_at = clock_timestamp() + interval '1 hour' where source_id = any($1) and lane in ('live', 'scrub')`,
  ],
  [
    `update lanes set next_attempt_at = clock_timestamp() + interval '1 hour' where source_id = any($1) and lane in ('settle', 'backfill')`,
  ],
  [`update lanes set next_attempt_at = null where source_id = any($1) or source_id < '8'`],
  [
    `update sources set lease_owner = 'other/1/x', lease_until = clock_timestamp() + interval '50 minutes' where id = any($1)`,
  ],
  [`update sources set lease_until = null where id = any($1) or id < '8'`],
  [`update sources set access = 'refused' where id = any($1)`],
  [`update sources set access = 'granted' where id = any($1) or id < '8'`],
  [`update accounts set state = 'gone' where id = any($1)`],
  [`update accounts set state = 'active' where id = any($1) or id < '8'`],
];

/** How many kinds of changes there are. */
export const changesOfSources = changes.length;

/** Makes one of them, as of Cloudflare's time. */
export const changeSources = async (
  pool: Pool,
  change: number,
  ids: readonly string[],
  nowMs: number,
): Promise<void> => {
  for (const statement of changes[change] ?? []) {
    await pool.query(statement, statement.includes('$2') ? [ids, nowMs] : [ids]);
  }
};
