import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import type { Anchor } from '../../../../src/evidence/anchor.ts';
import { anchorForever, readAnchors } from '../../../../src/evidence/anchors/anchor-forever.ts';
import { filesIn, mirrorTo } from '../../../../src/evidence/anchors/mirror.ts';
import { createAnchorStore, keysAtAnchors } from '../../../../src/evidence/anchors/stored-anchors.sql.ts';
import type { LogSigner } from '../../../../src/evidence/builder/ports.ts';
import { openBuilder, type TestBuilder } from '../builder-world.ts';

const INTERVAL_MS = 10;

export interface AnchoringBuilder extends TestBuilder {
  readonly failures: string[];
  /** Keeps what is signed, until the newest checkpoint is there or an anchor has failed once more. */
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
  const own = [signer, ...(nextSigner === undefined ? [] : [nextSigner])].map(({ publicKey }) => publicKey);
  const readKeys = (origin: string) => keysAtAnchors(pool, origin, own);
  const opened = openBuilder(pool, signer, {
    owner,
    nextSigner,
    readAnchors: async ({ number, origin }) =>
      await readAnchors(anchors, { number, origin, keys: await readKeys(origin) }, observer),
  });
  const anchor = async () => {
    const stop = new AbortController();
    const store = createAnchorStore(pool);
    const complete = new Set<string>();
    await anchorForever(anchors, {
      store: {
        ...store,
        noteKept: async (log, name, result) => {
          await store.noteKept(log, name, result);
          const hasTiles = anchors.some((each) => each.name === name && each.keepTiles !== undefined);
          if (!hasTiles || result.tilesSize >= log.size) complete.add(name);
          if (complete.size >= anchors.length) stop.abort();
        },
      },
      readKeys,
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
