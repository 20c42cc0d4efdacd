import pino from 'pino';
import { processTime } from '../../../src/app/sync-context.ts';
import { workOnce } from '../../../src/archive/thaw/thaw-forever.ts';
import { orderThaw } from '../../../src/archive/thaw/thaw-operation.ts';
import { readThaws, type Thaw } from '../../../src/archive/thaw/thaws.sql.ts';
import { perform, readInput } from '../../../src/base/operation.ts';
import { valuesOf } from '../postgres/rows.ts';
import type { ArchiveWorld, Archiving } from './archive-world.ts';

/** As the owner orders it: the last word of the command and its options. */
export const askThaw = async (
  { owner }: Pick<ArchiveWorld, 'owner'>,
  given: Readonly<Record<string, string>> = {},
  thawMaxBytes = 1e9,
): Promise<unknown> => {
  const input = readInput(orderThaw, { month: '2024-01', ...given }, (field) => field);
  const source = { pool: owner, hasArchive: true, config: { thawMaxBytes } };
  return await perform(orderThaw, source as never, input);
};

/** What a replica with the rights of a daemon does until there is nothing to do, or until it is stopped. */
export const thawWork = async (
  world: ArchiveWorld,
  {
    store = world.store,
    signal = new AbortController().signal,
    owner = 'a',
    ...archiving
  }: Archiving & { readonly owner?: string } = {},
): Promise<Thaw | undefined> => {
  const work = {
    pool: world.daemon,
    store,
    archiveMonth: (month: string) => world.archive(month, { store, ...archiving }),
    time: processTime(),
    logger: pino({ level: 'silent' }),
    signal,
  };
  while (await workOnce(work, owner));
  return (await readThaws(world.owner))[0];
};

/** Each row of the month and each later content, all columns of them, and the indexes. */
export const stateOfMonth = async ({ owner }: Pick<ArchiveWorld, 'owner'>, month = '2024-01') => {
  const table = `audit_events_${month.replace('-', '_')}`;
  const [exists] = await valuesOf<string | null>(owner, 'select to_regclass($1)::text', [table]);
  return {
    events: await valuesOf<string>(
      owner,
      `select e::text from audit_events e where to_char(action_time at time zone 'UTC', 'YYYY-MM') = $1 order by position`,
      [month],
    ),
    changes: await valuesOf<string>(owner, 'select c::text from audit_event_changes c order by id'),
    indexes: await valuesOf<string>(
      owner,
      `select regexp_replace(pg_get_indexdef(x.indexrelid), 'INDEX \\S+ ON \\S+', 'on') || (x.indisvalid and i.inhparent is not null)
       from pg_index x left join pg_inherits i on i.inhrelid = x.indexrelid where x.indrelid = to_regclass($1) order by 1`,
      [exists ?? null],
    ),
  };
};
