import { type BundleReader, isHidden, tileSourcesPath } from '../bundle/layout.ts';
import { unitedPositions } from '../journal/position-ranges.ts';
import type { StatementOf } from '../journal/statement.ts';
import { holeHash } from '../leaves/leaf.ts';
import { NO_SOURCE, readTileSources } from '../leaves/source-chain.ts';
import { TILE_WIDTH, tilesOfLevel } from '../tree/tiles.ts';
import type { LeafStates } from './leaf-states.ts';
import type { Report } from './report.ts';
import type { SourceNumbers } from './source-numbers.ts';
import type { VerifiedLog } from './verified-log.ts';

/** So many events are there, or their leaves, although a drop names them. */
export const countUndropped = (states: LeafStates, drops: readonly StatementOf<'drop'>[]): number => {
  let count = 0;
  for (const [from, to] of unitedPositions(drops.flatMap(({ positions }) => positions))) {
    for (let index = from - 1; index < Math.min(to - 1, states.size); index += 1) {
      if (['present', 'withheld'].includes(states.stateOf(index))) count += 1;
    }
  }
  return count;
};

/**
 * Every leaf without payload must be in a drop that is stated, or be that of a position which was dropped before it was hashed. Marks
 * them so. In a bundle of a time, the others are here as hashes alone.
 */
export const verifyAbsent = (
  report: Report,
  events: VerifiedLog,
  states: LeafStates,
  drops: readonly StatementOf<'drop'>[],
): void => {
  const ranges = unitedPositions(drops.flatMap(({ positions }) => positions));
  let at = 0;
  for (let index = 0; index < events.size; index += 1) {
    if (states.stateOf(index) !== 'absent') continue;
    const position = index + 1;
    while ((ranges[at]?.[1] ?? Number.POSITIVE_INFINITY) <= position) at += 1;
    if (holeHash(position).equals(events.leafHash(index))) {
      states.set(index, 'hole');
      if (events.listed !== undefined) report.fault('leaf', `event ${position} is listed, and is a hole`, position);
    } else if ((ranges[at]?.[0] ?? Number.POSITIVE_INFINITY) <= position) states.set(index, 'dropped');
    else if (report.time !== undefined) states.set(index, 'unshown');
    else report.fault('missing', `event ${position} has no payload, and no drop says why`, position);
  }
};

/**
 * Reads which source each leaf has: of an event that is there it must be its own; of a dropped one it is believed until the chain of the
 * source is compared. Of a hole it must be none.
 */
export const verifyTileSources = (
  report: Report,
  reader: BundleReader,
  states: LeafStates,
  sources: SourceNumbers,
  size: number,
): void => {
  for (const tile of tilesOfLevel(size, 0)) {
    const path = tileSourcesPath(tile);
    const bytes = reader.read(path);
    if (bytes === undefined) continue;
    const numbers = report.attempt('source', path, () => readTileSources(bytes, tile.width)) ?? [];
    for (const [place, number] of numbers.entries()) {
      const index = tile.n * TILE_WIDTH + place;
      if (!isSourceOf(states, index, number, sources)) {
        report.fault('source', `${path} says that event ${index + 1} is of source ${number}`, index + 1);
      } else {
        states.believeSource(index, number);
      }
    }
  }
  const known = new Set([...tilesOfLevel(size, 0)].map(tileSourcesPath));
  for (const path of reader.paths) {
    if (path.startsWith('events/sources/') && !known.has(path) && !isHidden(path))
      report.fault('source', `${path} is of no tile`);
  }
};

const isSourceOf = (states: LeafStates, index: number, number: number, sources: SourceNumbers): boolean => {
  const state = states.stateOf(index);
  if (state === 'dropped' || state === 'unshown') return sources.has(number);
  // What is neither there nor dropped is a fault already.
  return !['present', 'hole', 'withheld'].includes(state) || number === states.sourceOf(index);
};

/** Whether the source of this leaf is known, or it has none, or is one that the bundle is not of. */
export const hasKnownSource = (states: LeafStates, index: number): boolean =>
  states.stateOf(index) === 'hole' || states.stateOf(index) === 'hidden' || states.sourceOf(index) !== NO_SOURCE;
