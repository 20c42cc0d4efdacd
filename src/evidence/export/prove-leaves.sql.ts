import type { Pool, PoolClient } from 'pg';
import { OrgtrailError } from '../../errors.ts';
import { readTiles } from '../builder/load-logs.sql.ts';
import type { LeafProof } from '../bundle/found-events.ts';
import { EvidenceFault } from '../evidence-fault.ts';
import { among } from '../growth/logs-in-memory.ts';
import { openCheckpoint } from '../notes/open-checkpoint.ts';
import { leafHash } from '../tree/merkle.ts';
import { hashOfRange, inclusionRanges, rootByInclusion, tilesOfRanges } from '../tree/proofs.ts';
import { bundlePolicy } from './bundle-policy.ts';
import { readKeys } from './copy-logs.sql.ts';
import { readEvents } from './prove-events.sql.ts';
import { type ExportedLogs, type NothingToExport, withSnapshot } from './snapshot.sql.ts';

/** The checkpoint that proofs are under, and the keys that count. */
export interface ProvenUnder {
  readonly origin: string;
  readonly size: number;
  readonly note: string;
  /** The text of a policy. */
  readonly policy: string;
  readonly state: ExportedLogs['state'];
  readonly stateReason: string | null;
}

/** So many positions at once: each may need a tile of 8 KiB of its own, and its content is read to be hashed. */
const CHUNK = 100;

/**
 * Proofs of many events under the last signed checkpoint, in the order of the positions; each leaf is made again from what is stored, and
 * its proof verified before it is given. Events after the checkpoint are not signed. Gives why nothing is signed instead if there is no
 * checkpoint. Throws OrgtrailError `evidence_fails` if an event is not the one that was signed, `usage` if it is gone.
 */
export const proveLeaves = async (
  pool: Pool,
  positions: readonly number[],
  take: (proofs: readonly LeafProof[]) => void,
  signal?: AbortSignal,
): Promise<ProvenUnder | NothingToExport> =>
  await withSnapshot(pool, { signal }, async (client, logs) => {
    if (typeof logs === 'string') return logs;
    const { texts, monthKeys } = await readKeys(client, logs);
    const { origin, note, size } = logs.events;
    const { text: policy, policy: keys } = bundlePolicy(texts, [], { origin, notes: [note] });
    const { root } = orFails(() => openCheckpoint(Buffer.from(note), keys));
    for (let at = 0; at < positions.length; at += CHUNK) {
      const chunk = positions.slice(at, at + CHUNK);
      const signed = chunk.filter((position) => position <= size);
      const events = await readEvents(client, signed, monthKeys, policy, signal);
      const hashesOf = await readHashes(client, signed, logs);
      take(
        chunk.map((position) => {
          if (position > size) return { position, signed: undefined };
          const leaf = events.get(position)?.leaf;
          if (leaf === undefined)
            throw new OrgtrailError('usage', `event ${position} was dropped meanwhile: try again`);
          const hashes = hashesOf(position);
          if (rootByInclusion(position - 1, size, leafHash(leaf), hashes)?.equals(root) !== true)
            throw new OrgtrailError('evidence_fails', `event ${position} is not in ${origin} as it is stored`);
          return { position, signed: { leaf: Buffer.from(leaf), hashes } };
        }),
      );
    }
    return { origin, size, note, policy, state: logs.state, stateReason: logs.stateReason };
  });

/** What leads from each of these positions to the root, by tiles that are read once for all of them. */
const readHashes = async (
  client: PoolClient,
  positions: readonly number[],
  { events: { size }, generation }: ExportedLogs,
): Promise<(position: number) => Buffer[]> => {
  const ranges = new Map(positions.map((position) => [position, inclusionRanges(position - 1, size)]));
  const needed = tilesOfRanges([...ranges.values()].flat(), size);
  const readTile = among(await orFails(() => readTiles(client, 'events', generation, needed)));
  return (position) => orFails(() => (ranges.get(position) ?? []).map((range) => hashOfRange(range, size, readTile)));
};

/** A stored log that is damaged is no evidence. */
const orFails = <T>(read: () => T): T => {
  const fail = (error: unknown): never => {
    if (error instanceof EvidenceFault) throw new OrgtrailError('evidence_fails', error.message, { cause: error });
    throw error;
  };
  try {
    const value = read();
    return value instanceof Promise ? (value.catch(fail) as T) : value;
  } catch (error) {
    return fail(error);
  }
};
