import type { Pool, PoolClient } from 'pg';
import { OrgtrailError } from '../../errors.ts';
import { copyWithin } from '../../postgres/copy/copy-out.ts';
import { readTiles } from '../builder/load-logs.sql.ts';
import { keyOfLog } from '../builder/sign-log.ts';
import { type ProvenEvent, writeProvenEvent } from '../bundle/proven-event.ts';
import { EvidenceFault } from '../evidence-fault.ts';
import { eventFields, readEventRow } from '../growth/event-row.ts';
import { among } from '../growth/logs-in-memory.ts';
import { writeEventLeaf } from '../leaves/leaf.ts';
import { monthOf, saltOf } from '../leaves/month-key.ts';
import { writeTlogProof } from '../notes/tlog-proof.ts';
import { hashOfRange, inclusionRanges, tilesOfRanges } from '../tree/proofs.ts';
import { verifyProof } from '../verify/verify-proof.ts';
import { bundlePolicy } from './bundle-policy.ts';
import { field, integer, readKeys } from './copy-logs.sql.ts';
import { requireLogs } from './require-logs.ts';
import { type ExportedLogs, withSnapshot } from './snapshot.sql.ts';

export interface ProveOptions {
  readonly positions: readonly number[];
  /** All events with these ids as well, whatever their source. */
  readonly ids: readonly string[];
  readonly publicKeys?: readonly Uint8Array[];
  readonly signal?: AbortSignal | undefined;
  readonly onProven?: (events: number, all: number) => void;
}

/** Two files that prove one event: what it is, and that it is in the log. */
export interface EventProof {
  readonly position: number;
  readonly json: string;
  readonly tlogProof: string;
}

/** So many positions in one query. */
const CHUNK = 1_000;

/**
 * Proofs of single events under the last signed checkpoint, each verified before it is given. Throws OrgtrailError `usage` for a position
 * without an event or without a signed leaf, `evidence_fails` if an event is not the one that was signed.
 */
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
    for (let at = 0; at < positions.length; at += CHUNK) {
      const chunk = positions.slice(at, at + CHUNK);
      const events = await readEvents(client, chunk, monthKeys, keys.text, signal);
      for (const position of chunk) {
        const event = requireEvent(events.get(position), position, logs);
        const tlogProof = await proofOf(client, position, logs);
        const report = verifyProof(Buffer.from(tlogProof), event, keys.policy);
        const [fault] = report.faults;
        if (fault !== undefined) throw new OrgtrailError('evidence_fails', fault.message);
        take({ position, json: writeProvenEvent(event), tlogProof });
      }
      onProven?.(Math.min(at + CHUNK, positions.length), positions.length);
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

/** The events at these positions, with the leaves that they have now. */
export const readEvents = async (
  client: PoolClient,
  positions: readonly number[],
  monthKeys: ReadonlyMap<string, Buffer>,
  policy: string,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<number, ProvenEvent>> => {
  const events = new Map<number, ProvenEvent>();
  if (positions.length === 0) return events;
  const query = `select ${eventFields.join(', ')} from audit_events where position in (${positions.map(integer).join()})`;
  await copyWithin(
    client,
    query,
    (row) => {
      const event = readEventRow(row);
      const { position } = event;
      const key = monthKeys.get(monthOf(event.actionTimeUs));
      if (key === undefined) throw new OrgtrailError('evidence_fails', `the month of event ${position} has no key`);
      const leaf = writeEventLeaf({ ...event, salt: saltOf(key, position) });
      events.set(position, { leaf, raw: Buffer.from(field(row, eventFields.length - 1)), policy });
    },
    { signal, long: true },
  );
  return events;
};

const requireEvent = (event: ProvenEvent | undefined, position: number, logs: ExportedLogs): ProvenEvent => {
  if (position > logs.events.size) {
    throw new OrgtrailError('usage', `position ${position} is not signed yet: ${logs.events.size} are`);
  }
  if (event !== undefined) return event;
  throw new OrgtrailError('usage', `position ${position} has no event: it was dropped, or never had one`);
};

const proofOf = async (client: PoolClient, position: number, { events, generation }: ExportedLogs): Promise<string> => {
  const index = position - 1;
  const ranges = inclusionRanges(index, events.size);
  try {
    const tiles = await readTiles(client, 'events', generation, tilesOfRanges(ranges, events.size));
    const readTile = among(tiles);
    const hashes = ranges.map((range) => hashOfRange(range, events.size, readTile));
    return writeTlogProof({ index, hashes, checkpoint: events.note });
  } catch (error) {
    if (error instanceof EvidenceFault) throw new OrgtrailError('evidence_fails', error.message, { cause: error });
    throw error;
  }
};
