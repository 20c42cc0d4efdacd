import type { Pool } from 'pg';
import type { CommandCost } from './command-cost.ts';

/** What is looked for in the newest archived month: an actor with few events in it, and one request. */
export interface Wanted {
  readonly since: string;
  readonly before: string;
  readonly actorId: string;
  readonly rayId: string;
}

/** A search of 90 days that begin with an archived month: the command as a whole, with the start of its process. */
export interface ArchiveSearch {
  readonly what: 'an actor' | 'a ray id';
  readonly cost: CommandCost;
  readonly wantedSeconds: number;
}

/** An actor's events are worst spread if there is one in most row groups: about sixteen in a month. */
const FEW = 16;
const ROUNDS = 5;

/** To be called while the month is still in the database. */
export const chooseWanted = async (pool: Pool): Promise<Wanted> => {
  const { rows } = await pool.query<Wanted>(
    `with newest as (select max(month)::timestamptz as month from archive_objects where superseded_at is null),
     events as (select actor_id, raw_cf_ray_id, action_time from audit_events, newest
       where action_time >= month and action_time < month + interval '1 month')
     select to_char(month at time zone 'UTC', 'YYYY-MM-DD') as since, to_char(month at time zone 'UTC' + interval '90 days', 'YYYY-MM-DD') as before,
       (select actor_id from events group by actor_id order by abs(count(*) - $1), actor_id limit 1) as "actorId",
       (select raw_cf_ray_id from events where action_time >= month + interval '14 days' order by action_time limit 1) as "rayId"
     from newest`,
    [FEW],
  );
  const [wanted] = rows;
  if (wanted === undefined) throw new Error('nothing was archived');
  return wanted;
};

/** Runs each search some times; the cost is that of the median. */
export const searchArchive = async (
  { since, before, actorId, rayId }: Wanted,
  run: (...args: string[]) => Promise<CommandCost>,
): Promise<readonly ArchiveSearch[]> => {
  const search = async (...of: string[]) => {
    const costs: CommandCost[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      costs.push(await run('search', '--archive', '--since', since, '--before', before, '--json', ...of));
    }
    const [median] = costs.sort((a, b) => a.seconds - b.seconds).slice(Math.floor(ROUNDS / 2));
    if (median === undefined) throw new Error('nothing was searched');
    return median;
  };
  return [
    { what: 'an actor', cost: await search('--actor', `id:${actorId}`), wantedSeconds: 1 },
    { what: 'a ray id', cost: await search('--ray', rayId), wantedSeconds: 3 },
  ];
};
