import type { Pool } from 'pg';
import { parseOrigin } from '../notes/origin.ts';
import type { LogToAnchor } from './ports.ts';
import { createAnchorStore } from './stored-anchors.sql.ts';

/** The newest signed checkpoints of both logs, for a receiver of events. */
export interface DueCheckpoints {
  readonly feedId: string;
  readonly generation: number;
  /** When that of the events was signed, in RFC 3339. */
  readonly signedAt: string;
  readonly events: LogToAnchor;
  readonly journal: LogToAnchor;
}

/** Which checkpoints a sink lacks; where each was delivered is kept among the anchors, so that it counts as one. */
export interface SinkCheckpoints {
  /** Undefined: it is not time yet, nothing is signed, or the sink has them. Rejects if the account may not read them. */
  due(sink: string): Promise<DueCheckpoints | undefined>;
  noteDelivered(sink: string, due: DueCheckpoints): Promise<void>;
  noteFailure(sink: string, due: DueCheckpoints, reason: string): Promise<void>;
}

/** What a sink is called among the anchors. */
export const anchorOfSink = (sink: string): string => `sink:${sink}`;

/** `intervalMs`: between two records to one sink. */
export const createSinkCheckpoints = (pool: Pool, intervalMs: number): SinkCheckpoints => {
  const store = createAnchorStore(pool);
  const noteDelivered = async (sink: string, { events, journal }: DueCheckpoints): Promise<void> => {
    for (const log of [events, journal]) await store.noteKept(log, anchorOfSink(sink), { tilesSize: 0 });
  };
  return {
    due: async (sink) => {
      const newest = await readNewest(pool);
      if (newest === undefined) return undefined;
      const logs = await store.readSigned(newest.generation, anchorOfSink(sink));
      const [events, journal] = [logs.find(({ log }) => log === 'events'), logs.find(({ log }) => log === 'journal')];
      if (events === undefined || journal === undefined || events.size === 0) return undefined;
      const isTime = logs.some(({ keptSecondsAgo: ago }) => ago === null || ago * 1_000 >= intervalMs);
      if (!isTime) return undefined;
      const due = { feedId: parseOrigin(events.origin).feedId, ...newest, events, journal };
      const isDelivered = logs.every(({ size, keptSize }) => size === keptSize);
      if (!isDelivered) return due;
      // Nothing was signed since: it still has the newest ones.
      await noteDelivered(sink, due);
      return undefined;
    },
    noteDelivered,
    noteFailure: async (sink, { events }, reason) => await store.noteFailure(events, anchorOfSink(sink), reason),
  };
};

const readNewest = async (pool: Pool): Promise<Pick<DueCheckpoints, 'generation' | 'signedAt'> | undefined> => {
  const { rows } = await pool.query<{ generation: number; signedAt: string }>(
    `select l.generation, to_char(c.made_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as "signedAt"
     from evidence_logs l cross join lateral (
       select made_at from evidence_checkpoints c where c.log = l.name and c.generation = l.generation order by c.size desc limit 1) as c
     where l.name = 'events' order by l.generation desc limit 1`,
  );
  return rows[0];
};
