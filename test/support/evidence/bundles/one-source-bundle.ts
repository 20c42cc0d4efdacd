import {
  bundleFiles,
  checkpointPath,
  leafListPath,
  logTilePath,
  payloadPath,
  writeListedLeaf,
} from '../../../../src/evidence/bundle/layout.ts';
import { writePayloadRecord } from '../../../../src/evidence/bundle/records.ts';
import { HASH_BYTES } from '../../../../src/evidence/bytes.ts';
import { readLines, writeJournal } from '../../../../src/evidence/journal/statement-text.ts';
import { readEventLeaf } from '../../../../src/evidence/leaf.ts';
import type { LogName } from '../../../../src/evidence/notes/checkpoint.ts';
import { tilesOfPart } from '../../../../src/evidence/tree/proofs.ts';
import { TILE_WIDTH, widthOfTile } from '../../../../src/evidence/tree/tiles.ts';
import type { Files } from '../shapes/shape.ts';
import { recordsOf } from '../test-history.ts';

interface AnyStatement {
  readonly type: string;
  readonly tree: { readonly size: number };
  readonly number?: number;
  readonly id?: string;
  readonly source_id?: string;
  readonly position?: number;
  readonly organization_id?: string | null;
  readonly checkpoint?: { readonly size: number };
}

/** What one cuts out for whom, and what is done to it on the way. */
export interface Cut {
  readonly source: string;
  /** Indexes of events that the bundle lists. */
  readonly list?: (indexes: number[]) => readonly number[];
  /** Indexes of statements that it lists. */
  readonly disclose?: (indexes: number[], texts: readonly string[]) => readonly number[];
}

/** A bundle of one source, cut out of one of everything as an auditor could who has that: without the key. */
export const cutToSource = (whole: Files, { source, list = same, disclose = same }: Cut): Files => {
  const files: Files = new Map([[bundleFiles.policy, whole.get(bundleFiles.policy) as Buffer]]);
  const texts = readLines(whole.get(bundleFiles.journalEntries) as Buffer);
  const statements = texts.map((text) => JSON.parse(text) as AnyStatement);
  const number = statements.find(({ type, id }) => type === 'source' && id === source)?.number ?? -1;
  const size = sizeOf(whole, 'events');
  const indexes = list(indexesOf(whole, number, size));
  const isOwn = ({ type, id, source_id: of, position = 0, organization_id: organization }: AnyStatement): boolean =>
    type === 'source'
      ? id === source
      : type === 'coverage'
        ? of === source
        : type === 'change'
          ? indexes.includes(position - 1)
          : type !== 'hold' || organization === null || organization === source;
  const disclosed = disclose(
    [...texts.keys()].filter((index) => isOwn(statements[index] as AnyStatement)),
    texts,
  );
  files.set(bundleFiles.journalEntries, Buffer.from(writeJournal(disclosed.map((index) => texts[index] ?? '{}'))));
  const shown = disclosed.flatMap((index) => statements[index] ?? []);
  const prefixes = {
    events: shown.map(({ tree }) => tree.size),
    journal: shown.flatMap(({ checkpoint }) => checkpoint?.size ?? []),
  };
  addLog(files, whole, 'events', indexes, prefixes.events);
  addLog(files, whole, 'journal', disclosed, prefixes.journal);
  addPayload(files, whole, indexes);
  return files;
};

const same = (indexes: number[]): number[] => indexes;

const sizeOf = (whole: Files, log: LogName): number =>
  Number((whole.get(checkpointPath(log)) as Buffer).toString().split('\n')[1]);

const indexesOf = (whole: Files, number: number, size: number): number[] =>
  Array.from({ length: size }, (_, index) => index).filter((index) => {
    const tile = { level: 0, n: Math.floor(index / TILE_WIDTH), width: 0 };
    const path = logTilePath('events', { ...tile, width: widthOfTile(size, 0, tile.n) });
    const sources = whole.get(path.replace('tile/0/', 'sources/'));
    return sources?.readUInt16BE(2 * (index % TILE_WIDTH)) === number;
  });

const addLog = (
  files: Files,
  whole: Files,
  log: LogName,
  indexes: readonly number[],
  prefixes: readonly number[],
): void => {
  const size = sizeOf(whole, log);
  const inside = indexes.filter((index) => index < size);
  const leafTiles = inside.map((index) => Math.floor(index / TILE_WIDTH));
  for (const tile of tilesOfPart(size, { leafTiles, prefixes }))
    files.set(logTilePath(log, tile), whole.get(logTilePath(log, tile)) as Buffer);
  files.set(checkpointPath(log), whole.get(checkpointPath(log)) as Buffer);
  files.set(leafListPath(log), Buffer.concat(indexes.map((index) => recordOf(whole, log, index, size))));
};

const recordOf = (whole: Files, log: LogName, index: number, size: number): Buffer => {
  const n = Math.floor(index / TILE_WIDTH);
  const tile = whole.get(logTilePath(log, { level: 0, n, width: widthOfTile(size, 0, n) })) ?? Buffer.alloc(0);
  const at = (index % TILE_WIDTH) * HASH_BYTES;
  const hash = tile.subarray(at, at + HASH_BYTES);
  return writeListedLeaf(index, hash.length === HASH_BYTES ? hash : Buffer.alloc(HASH_BYTES));
};

const addPayload = (files: Files, whole: Files, indexes: readonly number[]): void => {
  const listed = new Set(indexes);
  const records = recordsOf(whole).filter(({ leaf }) => listed.has(readEventLeaf(leaf).position - 1));
  if (records.length > 0) files.set(payloadPath(0), Buffer.concat(records.map(writePayloadRecord)));
};
