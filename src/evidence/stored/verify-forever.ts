import { reasonOf } from '../../base/errors.ts';
import type { Time } from '../../base/time.ts';
import type { Pool } from '../../postgres/pool.ts';
import { verifierKeys } from '../append/keys-in-force.ts';
import { type EvidenceStore, readKeyHistory } from '../builder/evidence-store.sql.ts';
import { rootOfFirst } from '../builder/known-checkpoints.ts';
import { readTiles } from '../builder/load-log.sql.ts';
import type { Claim, EvidenceObserver } from '../builder/ports.ts';
import { EvidenceFault } from '../bytes.ts';
import { keyOfLog, openCheckpoint, originOf, type Policy } from '../notes/checkpoint.ts';
import { requireCheckpoint } from './evidence-status.sql.ts';
import { verifyBlock } from './read-block.sql.ts';
import { BLOCK_LEAVES } from './verify-block.ts';
import { verifyTree } from './verify-tree.sql.ts';

/** Names the log as a whole among its blocks. */
const TREE = -1;
const HOUR_MS = 3_600_000;
const HOURS_OF_A_ROUND = 168;
/** After a start, and between two looks. */
const LOOK_MS = 60_000;
/** Positions. */
const MOST_BEHIND = 10_000;

interface VerifyOptions {
  readonly pool: Pool;
  readonly store: EvidenceStore;
  readonly time: Time;
  readonly observer: Pick<EvidenceObserver, 'faultsFound'>;
  readonly onError: (reason: string) => void;
  /** For tests. */
  readonly lookMs?: number;
}

/**
 * Each hour the log as a whole, the blocks that are due (each once in 168 hours), those that had a fault, and one at random, so that a change
 * that is taken back before its block is due is not safe. Until the signal; what fails is retried with the next look.
 */
export const verifyForever = async (claim: Claim, options: VerifyOptions, signal: AbortSignal): Promise<void> => {
  const { pool, store, time, onError, lookMs = LOOK_MS } = options;
  while (!signal.aborted) {
    try {
      const log = await store.readLog();
      // Building goes first. Where entries come all the time, it is never quite at the head.
      if (log?.signedSize !== undefined && log.head - log.position <= MOST_BEHIND)
        await verifyDue(pool, claim, options, signal);
    } catch (error) {
      if (!signal.aborted) onError(reasonOf(error));
    }
    await time.sleep(lookMs, signal).catch(() => {});
  }
};

interface VerifiedBlock {
  readonly block: number;
  readonly atMs: number;
  readonly hasFaults: boolean;
}

const verifyDue = async (pool: Pool, claim: Claim, options: VerifyOptions, signal: AbortSignal): Promise<void> => {
  const { rows } = await pool.query<{ nowMs: number; size: number; verified: readonly VerifiedBlock[] }>(
    `select extract(epoch from clock_timestamp()) * 1000 as "nowMs", coalesce(l.signed_size, 0)::float8 as size,
       (select coalesce(json_agg(json_build_object('block', v.block, 'atMs', extract(epoch from v.at) * 1000, 'hasFaults', v.faults <> '{}')), '[]')
        from evidence_verified v) as verified
     from evidence_log l`,
  );
  const { nowMs = 0, size = 0, verified = [] } = rows[0] ?? {};
  for (const block of dueBlocks(Number(nowMs), Math.ceil(size / BLOCK_LEAVES), verified)) {
    if (signal.aborted) return;
    await verifyOne(pool, claim, block, options, signal);
  }
};

const verifyOne = async (
  pool: Pool,
  claim: Claim,
  block: number,
  { store, time, observer }: VerifyOptions,
  signal: AbortSignal,
): Promise<void> => {
  let startedMs = time.nowMs();
  // As long as each piece took.
  const pause = async (): Promise<void> => {
    await time.sleep(time.nowMs() - startedMs, signal).catch(() => {});
    startedMs = time.nowMs();
  };
  const faults = await (block === TREE ? verifyTree(pool) : verifyBlock(pool, block, { pause })).catch(
    (error: unknown) => {
      if (error instanceof EvidenceFault) return [error.message];
      throw error;
    },
  );
  await store.noteVerified(claim, block, faults);
  if (faults.length > 0) observer.faultsFound?.(block, faults);
  await pause();
};

/** Those that are due, oldest first; the tree and one at random in each hour. */
export const dueBlocks = (
  nowMs: number,
  blocks: number,
  verified: readonly VerifiedBlock[],
  random: () => number = Math.random,
): number[] => {
  const hour = Math.floor(nowMs / HOUR_MS);
  const known = new Map(verified.map((one) => [one.block, one]));
  const hourOf = (block: number): number => Math.floor((known.get(block)?.atMs ?? 0) / HOUR_MS);
  const isDue = (block: number): boolean => {
    const one = known.get(block);
    const last = hour - ((((hour - block) % HOURS_OF_A_ROUND) + HOURS_OF_A_ROUND) % HOURS_OF_A_ROUND);
    return one === undefined || hourOf(block) < last || (one.hasFaults && hourOf(block) < hour);
  };
  const due = Array.from({ length: blocks }, (_, block) => block).filter(isDue);
  if (hourOf(TREE) >= hour) return due.toSorted((a, b) => hourOf(a) - hourOf(b));
  const drawn = blocks === 0 ? [] : [Math.floor(random() * blocks)];
  return [TREE, ...new Set([...due.toSorted((a, b) => hourOf(a) - hourOf(b)), ...drawn])];
};

interface StoredOptions {
  /** Checkpoints that were kept elsewhere. */
  readonly kept: readonly { readonly name: string; readonly note: Buffer }[];
  readonly policy: Policy | undefined;
  /** Of this process, if there is no policy. */
  readonly publicKeys: readonly Buffer[];
  readonly onBlock: (leaves: number, size: number) => void;
}

/** All that the log verifies by itself, at once. Throws OrgtrailError `usage` if nothing is signed yet. */
export const verifyStored = async (pool: Pool, { kept, policy, publicKeys, onBlock }: StoredOptions) => {
  const { origin, size, note } = await requireCheckpoint(pool);
  const history = await readKeyHistory(pool);
  const own = publicKeys.map((key) => keyOfLog(origin, key));
  const believed = policy === undefined && own.length === 0;
  const logs = policy?.logs ?? (believed ? verifierKeys(history, origin) : own);
  const faults: string[] = [];
  const judge = async (what: string, run: () => Promise<void> | void) => {
    try {
      await run();
    } catch (error) {
      if (!(error instanceof EvidenceFault)) throw error;
      faults.push(`${what}: ${error.message}`);
    }
  };
  await judge(
    'the checkpoint',
    () => void openCheckpoint(Buffer.from(note), { logs, witnesses: policy?.witnesses ?? [] }),
  );
  for (const { name, note: text } of kept) {
    await judge(name, async () => {
      const named = text.toString('utf8', 0, Math.max(0, text.indexOf(0x0a)));
      const keys = [...logs, ...verifierKeys(history, named, publicKeys)];
      const known = openCheckpoint(text, { logs: keys, witnesses: [] });
      const [ours, theirs] = [originOf(origin), originOf(known.origin)];
      if (ours?.base !== theirs?.base || ours?.feedId !== theirs?.feedId) throw new EvidenceFault('is of another feed');
      if (known.size > size) throw new EvidenceFault(`has ${known.size} leaves, and here are ${size}`);
      if (!(await rootOfFirst((tiles) => readTiles(pool, tiles), size, known.size)).equals(known.root))
        throw new EvidenceFault(`the first ${known.size} leaves here are others`);
    });
  }
  await judge('the log', async () => void faults.push(...(await verifyTree(pool))));
  for (let block = 0; block * BLOCK_LEAVES < size; block += 1) {
    faults.push(...(await verifyBlock(pool, block)));
    onBlock(Math.min(size, (block + 1) * BLOCK_LEAVES), size);
  }
  return { origin, size, believed, faults };
};
