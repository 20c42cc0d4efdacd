import type { Pool } from 'pg';
import { longStatement } from '../../postgres/pool.ts';
import { statementOf } from '../append/keys-in-force.ts';
import { rootOfFirst } from '../builder/known-checkpoints.ts';
import { readLeafTiles, readTiles } from '../builder/load-log.sql.ts';
import { HASH_BYTES } from '../bytes.ts';
import { addLeaf, chainStart, type Growing, type NumberChain } from '../leaf.ts';
import { hashesOnLevel, perfectRoot, TILE_WIDTH, widthOfTile } from '../tree/tiles.ts';

/** What is wrong with the log as a whole: tiles above the leaves, the root, the feed, positions that were never given out, chains, coverage. */
export const verifyTree = async (pool: Pool): Promise<readonly string[]> => {
  const log = await readSigned(pool);
  if (log === undefined) return [];
  const faults: string[] = [];
  const { size, root } = log;
  if (!(await rootOfFirst((tiles) => readTiles(pool, tiles), size, size)).equals(root))
    faults.push('the tiles do not give the root that was signed');
  faults.push(...(await faultsOfLevels(pool, size)));
  if (!log.isFeed) faults.push('the feed is not the one that the log names');
  const { rows: outside } = await pool.query<{ position: string }>(
    longStatement(`(select position::text from audit_events where position < 1 order by position limit 3)
      union all (select e.position::text from audit_events e, feed_head h where e.position > h.position order by e.position limit 3)`),
  );
  for (const { position } of outside) faults.push(`an event stands at position ${position}, which was never given out`);
  faults.push(...(await faultsOfChains(pool)), ...(await faultsOfCoverage(pool)));
  return faults;
};

const readSigned = async (pool: Pool) => {
  const { rows } = await pool.query<{ size: number; root: Buffer; isFeed: boolean }>(
    `select c.size::float8 as size, c.root, l.feed_id = h.feed_id and coalesce(b.text::jsonb ->> 'feed_id' = l.feed_id::text
         and b.text::jsonb ->> 'base' = l.base and (b.text::jsonb ->> 'number')::integer = l.number, false) as "isFeed"
     from evidence_log l join evidence_checkpoints c on c.number = l.number and c.size = l.signed_size, feed_head h
       left join lateral (select s.text from evidence_statements s where s.type = 'begin' order by s.index desc limit 1) b on true`,
  );
  return rows[0];
};

/** Those above the leaves, from those below; the leaves' own are for the blocks. */
const faultsOfLevels = async (pool: Pool, size: number): Promise<string[]> => {
  const faults: string[] = [];
  for (let level = 2; hashesOnLevel(size, level) > 0; level += 1) {
    for (let n = 0; n * TILE_WIDTH < hashesOnLevel(size, level); n += 1) {
      const width = widthOfTile(size, level, n);
      const below = Array.from({ length: width }, (_, at) => ({
        level: level - 1,
        n: n * TILE_WIDTH + at,
        width: TILE_WIDTH,
      }));
      const [tile, ...children] = await readTiles(pool, [{ level, n, width }, ...below]);
      for (const [at, { n: child, hashes }] of children.entries()) {
        const hash = tile?.hashes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES);
        if (hash?.equals(perfectRoot(hashes, 0, TILE_WIDTH)) !== true)
          faults.push(`tile ${child} of level ${level - 1} does not give its hash in the tile above`);
      }
    }
  }
  return faults;
};

interface Known extends NumberChain {
  readonly number: number;
}

const TILES_AT_ONCE = 400;

/** From the last statement of coverage of each number on, which is signed, to what the database has now. */
const faultsOfChains = async (pool: Pool): Promise<string[]> => {
  const { rows: stored } = await pool.query<Known & { readonly size: number; readonly text: string | null }>(
    longStatement(`select s.number::float8 as number, s.leaves::float8 as leaves, s.events::float8 as events, s.chain, l.size::float8 as size,
      (select t.text from evidence_statements t where t.type = 'coverage' and (t.source = s.number or s.number = 0)
       order by t.index desc limit 1) as text
    from evidence_log l, evidence_sources s order by s.number`),
  );
  const size = stored[0]?.size ?? 0;
  const chains = new Map<number, Growing<NumberChain> & { readonly from: number }>();
  for (const { number, text } of stored) {
    const said = text === null ? undefined : statementOf(text);
    if (said?.type !== 'coverage') {
      chains.set(number, { from: 0, ...chainStart });
      continue;
    }
    const [leaves, events, chain] =
      number === 0 ? [said.log_leaves, 0, said.log_chain] : [said.leaves, said.events, said.chain];
    chains.set(number, { from: said.index, leaves, events, chain: Buffer.from(chain, 'hex') });
  }
  const first = Math.min(size, ...[...chains.values()].map(({ from }) => from));
  for (let n = Math.floor(first / TILE_WIDTH); n * TILE_WIDTH < size; n += TILES_AT_ONCE) {
    const tiles = await readLeafTiles(pool, 'n >= $1 and n < $2 order by n', [n, n + TILES_AT_ONCE]);
    for (const { n: at, hashes, positions, sources } of tiles) {
      for (let leaf = 0; leaf < sources.length / 4 && at * TILE_WIDTH + leaf < size; leaf += 1) {
        const chain = chains.get(sources.readUInt32BE(4 * leaf));
        if (chain === undefined || at * TILE_WIDTH + leaf < chain.from) continue;
        const hash = hashes.subarray(leaf * HASH_BYTES, (leaf + 1) * HASH_BYTES);
        addLeaf(chain, hash, positions.readBigUInt64BE(8 * leaf) > 0n);
      }
    }
  }
  return stored.flatMap(({ number, leaves, events, chain }) => {
    const made = chains.get(number);
    return made?.leaves === leaves && made.events === events && made.chain.equals(chain)
      ? []
      : [`the stored chain of number ${number} is not that of its leaves`];
  });
};

/** The stored coverage has at least what was stated, and was asked for. */
const faultsOfCoverage = async (pool: Pool): Promise<string[]> => {
  const { rows } = await pool.query<{ kind: string; id: string; shrank: boolean; unasked: number }>(
    longStatement(`select c.source_kind as kind, c.source_id as id,
      not orgtrail_ranges_of(s.text::jsonb -> 'read') <@ coalesce(v.proven, '{}') as shrank,
      coalesce((select sum(extract(epoch from upper(r) - lower(r))) from unnest(v.proven * tstzmultirange(tstzrange('1970-01-01 00:00:00+00', null))
        - c.adopted - c.windows - coalesce((select range_agg(tstzrange(e.since, least(e.before, e.first_date, e.last_date)))
          from evidence_reads e where e.source_kind = c.source_kind and e.source_id = c.source_id and e.filter_hash = c.filter_hash
            and e.number > c.rows_last and e.since < least(e.before, e.first_date, e.last_date)), '{}')) r), 0)::float8 as unasked
    from evidence_coverage c join evidence_statements s on s.index = c.index
      left join coverage v on v.source_kind = c.source_kind and v.source_id = c.source_id and v.filter_hash = c.filter_hash and v.pass = 0`),
  );
  return rows.flatMap(({ kind, id, shrank, unasked }) => [
    ...(shrank ? [`the coverage of ${kind} ${id} has less than was stated`] : []),
    ...(unasked > MAX_UNASKED_SECONDS
      ? [`the coverage of ${kind} ${id} has time for which no request is recorded`]
      : []),
  ]);
};

/** An answer's own Date has whole seconds. */
const MAX_UNASKED_SECONDS = 60;
