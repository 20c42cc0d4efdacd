import type { Pool, PoolClient } from 'pg';
import { OrgtrailError } from '../../base/errors.ts';
import { type BinaryRow, copyWithin } from '../../postgres/copy.ts';
import { among, eventFields, readEventRow } from '../append/logs.ts';
import { readTiles } from '../builder/load-logs.sql.ts';
import { keyOfLog } from '../builder/signing-keys.ts';
import { type LeafProof, type ProvenEvent, writeProvenEvent } from '../bundle/records.ts';
import { monthOf, saltOf, writeEventLeaf } from '../leaf.ts';
import { writeTlogProof } from '../notes/checkpoint.ts';
import { openCheckpoint } from '../notes/policy.ts';
import { hashOfRange, inclusionRanges, rootByInclusion, tilesOfRanges } from '../tree/proofs.ts';
import { leafHash } from '../tree/tiles.ts';
import { verifyProof } from '../verify/verify-found.ts';
import { field, integer, readKeys } from './copy-logs.sql.ts';
import {
  bundlePolicy,
  type ExportedLogs,
  type NothingToExport,
  orFails,
  requireLogs,
  withSnapshot,
} from './snapshot.sql.ts';

interface ProveOptions {
  readonly positions: readonly number[];
  /** Whatever their source. */
  readonly ids: readonly string[];
  readonly publicKeys?: readonly Uint8Array[];
  readonly signal?: AbortSignal | undefined;
  readonly onProven?: (events: number, all: number) => void;
}

export interface EventProof {
  readonly position: number;
  readonly json: string;
  readonly tlogProof: string;
}

const EVENTS_AT_ONCE = 1_000;

/** Verifies each. Throws OrgtrailError `usage` for no event or no signed leaf, `evidence_fails` if it is not the signed one. */
export const proveEvents = async (
  pool: Pool,
  options: ProveOptions,
  take: (proof: EventProof) => void,
): Promise<ExportedLogs> =>
  await withSnapshot(pool, options, async (client, found) => {
    const logs = requireLogs(found);
    const { texts, monthKeys } = await readKeys(client, logs);
    const { publicKeys = [], signal, onProven } = options;
    const { origin, note } = logs.events;
    const own = publicKeys.map((publicKey) => keyOfLog(origin, publicKey));
    const keys = bundlePolicy(texts, own, { origin, notes: [note] });
    const positions = await positionsOf(client, options);
    for (let at = 0; at < positions.length; at += EVENTS_AT_ONCE) {
      const chunk = positions.slice(at, at + EVENTS_AT_ONCE);
      const events = await readEvents(client, chunk, monthKeys, keys.text, signal);
      for (const position of chunk) {
        const event = requireEvent(events.get(position), position, logs);
        const tlogProof = await proofOf(client, position, logs);
        const report = verifyProof(Buffer.from(tlogProof), event, keys.policy);
        const [fault] = report.faults;
        if (fault !== undefined) throw new OrgtrailError('evidence_fails', fault.message);
        take({ position, json: writeProvenEvent(event), tlogProof });
      }
      onProven?.(Math.min(at + EVENTS_AT_ONCE, positions.length), positions.length);
    }
    return logs;
  });

const positionsOf = async (client: PoolClient, { positions, ids }: ProveOptions): Promise<number[]> => {
  if (ids.length === 0) return [...new Set(positions)];
  const { rows } = await client.query<{ id: string; position: number }>(
    'select id, position::float8 as position from audit_events where id = any ($1::text[]) order by position',
    [ids],
  );
  const unknown = ids.find((id) => !rows.some((row) => row.id === id));
  if (unknown !== undefined)
    throw new OrgtrailError('usage', `there is no event with the id ${JSON.stringify(unknown)}`);
  return [...new Set([...positions, ...rows.map(({ position }) => position)])];
};

const readEvents = async (
  client: PoolClient,
  positions: readonly number[],
  monthKeys: ReadonlyMap<string, Buffer>,
  policy: string,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<number, ProvenEvent>> => {
  const events = new Map<number, ProvenEvent>();
  if (positions.length === 0) return events;
  const query = `select ${eventFields.join(', ')} from audit_events where position in (${positions.map(integer).join()})`;
  const take = (row: BinaryRow) => {
    const event = readEventRow(row);
    const { position } = event;
    const key = monthKeys.get(monthOf(event.actionTimeUs));
    if (key === undefined) throw new OrgtrailError('evidence_fails', `the month of event ${position} has no key`);
    const leaf = writeEventLeaf({ ...event, salt: saltOf(key, position) });
    events.set(position, { leaf, raw: Buffer.from(field(row, eventFields.length - 1)), policy });
  };
  await copyWithin(client, query, take, { signal, long: true });
  return events;
};

const requireEvent = (event: ProvenEvent | undefined, position: number, logs: ExportedLogs): ProvenEvent => {
  if (position > logs.events.size) {
    throw new OrgtrailError('usage', `position ${position} is not signed yet: ${logs.events.size} are`);
  }
  if (event !== undefined) return event;
  throw new OrgtrailError('usage', `position ${position} has no event: it was dropped, or never had one`);
};

const proofOf = async (client: PoolClient, position: number, logs: ExportedLogs): Promise<string> => {
  const hashesOf = await readHashes(client, [position], logs);
  return writeTlogProof({ index: position - 1, hashes: hashesOf(position), checkpoint: logs.events.note });
};

export interface ProvenUnder {
  readonly origin: string;
  readonly size: number;
  readonly note: string;
  /** The text of a policy. */
  readonly policy: string;
  readonly state: ExportedLogs['state'];
  readonly stateReason: string | null;
}

/** Each may need a tile of 8 KiB of its own, and its content is read to be hashed. */
const PROOFS_AT_ONCE = 100;

/**
 * In the order of the positions, each verified; `signed` is undefined after the checkpoint. Gives why nothing is signed, if so.
 * Throws OrgtrailError `evidence_fails` if an event is not the one that was signed, `usage` if it is gone.
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
    for (let at = 0; at < positions.length; at += PROOFS_AT_ONCE) {
      const chunk = positions.slice(at, at + PROOFS_AT_ONCE);
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

/** By tiles that are read once for all positions. */
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
