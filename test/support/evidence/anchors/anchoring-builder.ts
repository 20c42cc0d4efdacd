import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import type { Anchor } from '../../../../src/evidence/anchor.ts';
import { anchorForever, bothLogs, readAnchors } from '../../../../src/evidence/anchors/anchor-forever.ts';
import { filesIn, mirrorTo } from '../../../../src/evidence/anchors/mirror.ts';
import { createAnchorStore, keysAtAnchors } from '../../../../src/evidence/anchors/stored-anchors.sql.ts';
import type { LogSigner } from '../../../../src/evidence/builder/ports.ts';
import { openBuilder, type TestBuilder } from '../builder-world.ts';

const INTERVAL_MS = 10;

export interface AnchoringBuilder extends TestBuilder {
  readonly failures: string[];
  /** Keeps what is signed, until the newest checkpoints of both logs are there or an anchor has failed once more. */
  anchor(): Promise<void>;
}

/** An anchor that is a directory. */
export const directoryAnchor = (directory: string): Anchor =>
  mirrorTo(`file:${directory}`, filesIn(directory), INTERVAL_MS);

/** A builder that reads these anchors before it signs. */
export const openAnchoringBuilder = (
  pool: Pool,
  signer: LogSigner,
  anchors: readonly Anchor[],
  owner = 'host/1/x',
  nextSigner?: LogSigner,
): AnchoringBuilder => {
  const failures: string[] = [];
  const observer = { failed: (_: string, reason: string) => void failures.push(reason) };
  const keysOf = (generation: number, origins: readonly string[]) =>
    keysAtAnchors(
      pool,
      generation,
      origins,
      [signer, ...(nextSigner === undefined ? [] : [nextSigner])].map(({ publicKey }) => publicKey),
    );
  const opened = openBuilder(pool, signer, {
    owner,
    nextSigner,
    readAnchors: async ({ generation, events, journal }) => {
      const logs = bothLogs({ events: events.origin, journal: journal.origin });
      const keys = await keysOf(
        generation,
        logs.map(({ origin }) => origin),
      );
      return await readAnchors(anchors, { generation, logs, keys }, observer);
    },
  });
  const anchor = async () => {
    const stop = new AbortController();
    const store = createAnchorStore(pool);
    const { rows } = await pool.query<{ generation: number }>(
      'select max(generation) as generation from evidence_logs',
    );
    const generation = rows[0]?.generation ?? 1;
    let kept = 0;
    const wanted = anchors.reduce((sum, { logs }) => sum + (logs?.length ?? 2), 0);
    await anchorForever(anchors, {
      store: {
        ...store,
        noteKept: async (log, name, result) => {
          await store.noteKept(log, name, result);
          const hasTiles = anchors.some((each) => each.name === name && each.keepTiles !== undefined);
          if (!hasTiles || result.tilesSize >= log.size) kept += 1;
          if (kept >= wanted) stop.abort();
        },
      },
      generation,
      readKeys: (logs) =>
        keysOf(
          generation,
          logs.map(({ origin }) => origin),
        ),
      observer: {
        failed: (name, reason) => {
          observer.failed(name, reason);
          stop.abort();
        },
      },
      learn: (found) => opened.builder.learn(found),
      time: { nowMs: () => performance.now(), sleep: (ms, aborted) => sleep(ms, undefined, { signal: aborted }) },
      signal: stop.signal,
    });
  };
  return { ...opened, failures, anchor };
};
