import type { Pool } from 'pg';
import type { Growth, GrowthResult } from './ports.ts';

/** Commits leaves and statements, in one statement: all of it, or nothing. */
export const growLogs = async (pool: Pool, growth: Growth): Promise<GrowthResult> => {
  const { generation, epoch, from, to, tiles, monthKeys, sources, entries } = growth;
  const values = [
    generation,
    epoch,
    [from.events, from.journal],
    [to.events.size, to.journal.size],
    [to.events.root, to.journal.root],
    tiles.map(({ log }) => log),
    tiles.map(({ level }) => level),
    tiles.map(({ n }) => n),
    tiles.map(({ hashes }) => hashes),
    tiles.map((tile) => tile.sources ?? null),
    monthKeys.map(({ month }) => month),
    monthKeys.map(({ key }) => key),
    monthKeys.map(({ isNew }) => isNew),
    sources.map(({ number }) => number),
    sources.map(({ kind }) => kind),
    sources.map(({ id }) => id),
    sources.map(({ events }) => events),
    sources.map(({ chain }) => chain),
    entries.map(({ kind }) => kind),
    entries.map(({ ref }) => ref),
    entries.map(({ text }) => text),
  ];
  const parameters = values.map((_, index) => `$${index + 1}`).join(', ');
  const { rows } = await pool.query<{ result: GrowthResult }>(
    `select orgtrail_grow_evidence(${parameters}) as result`,
    values,
  );
  return rows[0]?.result ?? 'stale';
};
