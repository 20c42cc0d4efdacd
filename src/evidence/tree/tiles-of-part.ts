import { tilesOfRanges } from './proofs.ts';
import { hashesOnLevel, TILE_WIDTH, type TileId, widthOfTile } from './tiles.ts';

/** What a part of a tree must show. */
export interface ShownPart {
  /** Numbers of tiles of level 0. */
  readonly leafTiles: Iterable<number>;
  /** The roots of so many first leaves. */
  readonly prefixes: Iterable<number>;
}

/** Names one tile of a tree. */
export const tileKey = ({ level, n }: Pick<TileId, 'level' | 'n'>): string => `${level}/${n}`;

/** The tile that has the root of this full one. */
export const parentOf = (size: number, { level, n }: TileId): TileId => {
  const parent = { level: level + 1, n: Math.floor(n / TILE_WIDTH) };
  return { ...parent, width: widthOfTile(size, parent.level, parent.n) };
};

/** The tiles from which these leaves and prefixes are proven up to the root: themselves, those above them, and the right edge. */
export const tilesOfPart = (size: number, { leafTiles, prefixes }: ShownPart): TileId[] => {
  const tiles = new Map<string, TileId>();
  const add = (tile: TileId): void => {
    for (let one = tile; !tiles.has(tileKey(one)); one = parentOf(size, one)) {
      tiles.set(tileKey(one), one);
      // The root follows from the partial tiles themselves.
      if (one.width < TILE_WIDTH) return;
    }
  };
  for (const n of leafTiles) add({ level: 0, n, width: widthOfTile(size, 0, n) });
  for (const prefix of prefixes) for (const tile of tilesOfRanges([{ start: 0, end: prefix }], size)) add(tile);
  for (let level = 0; hashesOnLevel(size, level) > 0; level += 1) {
    const n = Math.floor(hashesOnLevel(size, level) / TILE_WIDTH);
    const width = widthOfTile(size, level, n);
    if (width > 0) add({ level, n, width });
  }
  return [...tiles.values()];
};
