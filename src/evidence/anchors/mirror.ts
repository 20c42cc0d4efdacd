import { logTilePath } from '../bundle/layout.ts';
import { EvidenceFault } from '../evidence-fault.ts';
import { journalLeaf } from '../leaves/leaf.ts';
import type { LogName } from '../notes/origin.ts';
import { readEntryBundle, writeEntryBundle } from '../tree/entry-bundle.ts';
import { entryBundlePath, TILE_WIDTH, type TileId, widthOfTile } from '../tree/tiles.ts';
import type { Anchor, AnchorStore, LogToAnchor } from './ports.ts';
import type { WriteOnceFiles } from './write-once-files.ts';

/** The leaves whose tiles are read and written together. */
const STEP = 64 * TILE_WIDTH;
/** Then the next checkpoint is due. */
const MAX_STEPS = 100;
/** Newer ones that are not signed by the log are passed over, so many at most. */
const MAX_NEWEST = 20;

/**
 * An anchor that has checkpoints, full tiles and statements as files or objects, so that not only the root but every leaf hash is out of the reach of
 * the database's owner: `events/checkpoints/00000000000000001234`, `events/tile/…`, `journal/tile/entries/…`. Files of later generations
 * are below `generation-2/` and so on.
 */
export const mirrorTo = (name: string, files: WriteOnceFiles, intervalMs: number): Anchor => ({
  name,
  intervalMs,
  newest: async ({ log, generation }) => {
    const folder = checkpointsOf(log, generation);
    const newest = await files.newestNumbers(folder, MAX_NEWEST);
    return await Promise.all(newest.map((each) => files.read(`${folder}/${each}`)));
  },
  history: async ({ log, generation }) => {
    const folder = checkpointsOf(log, generation);
    const names = (await files.allNumbers(folder)).toSorted();
    return { sizes: names.map(Number), read: (index) => files.read(`${folder}/${names[index]}`) };
  },
  statements: async (generation, size) => {
    const leaves: Buffer[] = [];
    for (let n = 0; n * TILE_WIDTH < size; n += 1) {
      const path = entryBundlePath({ n, width: widthOfTile(size, 0, n) });
      leaves.push(...readEntryBundle(await files.read(`${folderOf(generation)}journal/${path}`)));
    }
    return leaves;
  },
  keepCheckpoint: async ({ log, generation, size, note, tilesSize }) => {
    const path = anchoredPath(log, generation, size);
    const { outcome, receipt } = await files.put(path, Buffer.from(note));
    if (outcome === 'other' && textOf(await files.read(path)) !== textOf(Buffer.from(note))) {
      throw new EvidenceFault(`${path} is another checkpoint of ${size} ${log}`);
    }
    return { tilesSize, ...(receipt && { receipt }) };
  },
  keepTiles: async (log, store, signal) => {
    let from = log.tilesSize;
    for (let step = 0; step < MAX_STEPS && from < log.size && !signal.aborted; step += 1) {
      const to = Math.min(log.size, (Math.floor(from / STEP) + 1) * STEP);
      await mirrorStep(files, store, log, { from, to }, signal);
      from = to;
    }
    return { tilesSize: from };
  },
});

/** What a log signs, without the lines of signatures, which may be by several keys. */
const textOf = (note: Buffer): string => note.toString('utf8').split('\n\n')[0] ?? '';

/** The file or object of the checkpoint of so many leaves. */
export const anchoredPath = (log: LogName, generation: number, size: number): string =>
  `${checkpointsOf(log, generation)}/${String(size).padStart(20, '0')}`;

const folderOf = (generation: number): string => (generation === 1 ? '' : `generation-${generation}/`);
const checkpointsOf = (log: LogName, generation: number): string => `${folderOf(generation)}${log}/checkpoints`;

const mirrorStep = async (
  files: WriteOnceFiles,
  store: AnchorStore,
  { log, generation, size }: LogToAnchor,
  { from, to }: { readonly from: number; readonly to: number },
  signal: AbortSignal,
): Promise<void> => {
  const put = async (path: string, bytes: Buffer): Promise<void> => {
    signal.throwIfAborted();
    const at = `${folderOf(generation)}${path}`;
    if ((await files.put(at, bytes)).outcome === 'other')
      throw new EvidenceFault(`${at} is not as it is in the database`);
  };
  const full = fullTiles(from, to);
  for (const { hashes, ...tile } of await store.readTiles(log, generation, full)) {
    await put(logTilePath(log, tile), hashes);
  }
  if (log === 'events') return;
  for (let n = Math.floor(from / TILE_WIDTH); n * TILE_WIDTH < to; n += 1) {
    const width = widthOfTile(size, 0, n);
    const texts = await store.readStatements(generation, n * TILE_WIDTH, n * TILE_WIDTH + width);
    await put(`journal/${entryBundlePath({ n, width })}`, writeEntryBundle(texts.map(journalLeaf)));
  }
};

/** The tiles of all levels that become full between two sizes. */
const fullTiles = (from: number, to: number): TileId[] => {
  const tiles: TileId[] = [];
  for (let level = 0, leaves = TILE_WIDTH; leaves <= to; level += 1, leaves *= TILE_WIDTH) {
    for (let n = Math.floor(from / leaves); n < Math.floor(to / leaves); n += 1) {
      tiles.push({ level, n, width: TILE_WIDTH });
    }
  }
  return tiles;
};
