import { OrgtrailError } from '../../base/errors.ts';
import type { Pool } from '../../postgres/pool.ts';
import { verifierKeys } from '../append/keys-in-force.ts';
import { readKeyHistory } from '../builder/evidence-store.sql.ts';
import { rootOfFirst } from '../builder/known-checkpoints.ts';
import { readTiles } from '../builder/load-log.sql.ts';
import { EvidenceFault } from '../bytes.ts';
import { keyOfLog, openCheckpoint, originOf, type Policy } from '../notes/policy.ts';
import { readNewestCheckpoint } from './evidence-status.sql.ts';
import { verifyBlock } from './read-block.sql.ts';
import { BLOCK_LEAVES } from './verify-block.ts';
import { verifyTree } from './verify-tree.sql.ts';

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
  const checkpoint = await readNewestCheckpoint(pool);
  if (checkpoint === undefined)
    throw new OrgtrailError('usage', 'no checkpoint is signed yet', { hint: 'docs/evidence.md says how to begin' });
  const { origin, size, note } = checkpoint;
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
