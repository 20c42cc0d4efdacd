import { createHash } from 'node:crypto';
import { reasonOf } from '../base/errors.ts';
import type { DueCheckpoint, SinkCheckpoints } from '../evidence/anchors/stored-anchors.sql.ts';
import type { Delivery, Sink } from './delivery.ts';
import { nowhere } from './findings/finding.ts';
import type { DeliveryObserver } from './ports.ts';

const LOOK_EVERY_MS = 10_000;
const AFTER_FAILURE_MS = 60_000;

export interface CheckpointTurn {
  readonly sink: { readonly name: string; readonly sink: Pick<Sink, 'deliver'> };
  readonly checkpoints: SinkCheckpoints;
  readonly signal: AbortSignal;
  readonly plainReason: (reason: string) => string;
  readonly observer: Pick<DeliveryObserver, 'checkpointFailed' | 'checkpointDelivered'>;
}

/** Sends a sink the newest signed checkpoint if it lacks it. Returns the milliseconds until the next look. Never rejects: events go on anyhow. */
export const deliverCheckpoint = async (turn: CheckpointTurn): Promise<number> => {
  const { sink, checkpoints, signal, observer } = turn;
  let due: DueCheckpoint | undefined;
  try {
    due = await checkpoints.due(sink.name);
    if (due === undefined) return LOOK_EVERY_MS;
    signal.throwIfAborted();
    const outcome = await sink.sink.deliver(checkpointDelivery(due), signal);
    if (outcome.kind !== 'delivered') throw new Error(outcome.reason);
    const [refused] = outcome.refused;
    if (refused !== undefined) throw new Error(refused.reason);
    await checkpoints.noteDelivered(sink.name, due);
    observer.checkpointDelivered?.({ sink: sink.name, size: due.size });
    return LOOK_EVERY_MS;
  } catch (error) {
    if (signal.aborted) return 0;
    const reason = turn.plainReason(reasonOf(error));
    observer.checkpointFailed?.({ sink: sink.name, reason });
    if (due !== undefined) await checkpoints.noteFailure(sink.name, due, reason).catch(() => {});
    return AFTER_FAILURE_MS;
  }
};

/** The record as an event of its own, JSON in any format: `orgtrail_checkpoint`, with the note to the byte. */
export const checkpointDelivery = ({ feedId, number, signedAt, origin, size, note }: DueCheckpoint): Delivery => {
  // In base64: the third line of a note.
  const root = note.split('\n')[2] ?? '';
  const record = { feed_id: feedId, number, signed_at: signedAt, origin, size, root, note };
  const text = JSON.stringify({ '@timestamp': signedAt, orgtrail_checkpoint: record });
  // Another signature of the same size is the same record.
  const key = createHash('sha256').update(`checkpoint\0${origin}\0${size}`).digest('base64url');
  const event = {
    position: size,
    feedId,
    sourceKind: 'evidence',
    sourceId: origin,
    ...nowhere,
    id: key,
    actionTime: signedAt,
    receivedAt: signedAt,
    rawText: text,
    defects: null,
  };
  return { id: key, events: [{ event, key, text }], checkpoint: { size, root, record: JSON.stringify(record) } };
};
