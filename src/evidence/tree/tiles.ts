import { EvidenceFault } from '../evidence-fault.ts';

/** How many hashes a full tile has. */
export const TILE_WIDTH = 256;
const MAX_LEVEL = 63;

/** A tile of c2sp.org/tlog-tiles: `width` hashes of `level`, from hash number 256 · n on. Level 0 are the leaves. */
export interface TileId {
  readonly level: number;
  readonly n: number;
  /** 1 to 256; below 256 the tile is partial. */
  readonly width: number;
}

/** So many hashes a tree of `size` leaves has on a level: each stands for 256^level leaves. */
export const hashesOnLevel = (size: number, level: number): number => Math.floor(size / TILE_WIDTH ** level);

/** All tiles of a tree of this size, level by level from the leaves up, each as wide as it is at this size. */
export function* tilesOfTree(size: number): Generator<TileId> {
  for (let level = 0; hashesOnLevel(size, level) > 0; level += 1) yield* tilesOfLevel(size, level);
}

/** Those of one level. Entry bundles are cut like the tiles of level 0. */
export function* tilesOfLevel(size: number, level: number): Generator<TileId> {
  const hashes = hashesOnLevel(size, level);
  for (let n = 0; n * TILE_WIDTH < hashes; n += 1) yield { level, n, width: widthOfTile(size, level, n) };
}

/** How wide tile `n` of a level is in a tree of this size; 0 or less if there is none. */
export const widthOfTile = (size: number, level: number, n: number): number =>
  Math.min(TILE_WIDTH, hashesOnLevel(size, level) - n * TILE_WIDTH);

/** `tile/0/x001/x234/067`, or `tile/0/x001/x234/067.p/8` of a partial one. */
export const tilePath = ({ level, n, width }: TileId): string => `tile/${level}/${placePath(n, width)}`;

/** `tile/entries/x001/x234/067`: the data of the leaves of a tile of level 0. */
export const entryBundlePath = ({ n, width }: Omit<TileId, 'level'>): string => `tile/entries/${placePath(n, width)}`;

/** What tiles and all that is cut like them are called: `x001/x234/067`, with `.p/8` for a partial one. */
export const placePath = (n: number, width: number): string => {
  const digits = String(n);
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, '0').match(/\d{3}/g) ?? [];
  const path = groups.map((group, index) => (index < groups.length - 1 ? `x${group}` : group)).join('/');
  return width === TILE_WIDTH ? path : `${path}.p/${width}`;
};

/** Reads what `tilePath` and `entryBundlePath` write, and nothing else: one tile has one path. Throws an EvidenceFault. */
export const parseTilePath = (path: string): Omit<TileId, 'level'> & { readonly level: number | 'entries' } => {
  const match = /^tile\/(entries|\d{1,2})\/((?:x\d{3}\/)*\d{3})(?:\.p\/(\d{1,3}))?$/.exec(path);
  const level = match?.[1] === 'entries' ? 'entries' : Number(match?.[1]);
  const n = Number(match?.[2]?.replaceAll(/[x/]/g, ''));
  const width = Number(match?.[3] ?? TILE_WIDTH);
  const written = `tile/${level}/${placePath(n, width)}`;
  const isTile = (level === 'entries' || level <= MAX_LEVEL) && Number.isSafeInteger(n);
  if (!isTile || width < 1 || width > TILE_WIDTH || written !== path) {
    throw new EvidenceFault(`not the path of a tile: ${JSON.stringify(path)}`);
  }
  return { level, n, width };
};
