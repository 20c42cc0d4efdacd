import type { PoolClient } from 'pg';
import { OrgtrailError } from '../../../errors.ts';
import { copyWithin } from '../../../postgres/copy/copy-out.ts';
import { readTiles } from '../../builder/load-logs.sql.ts';
import { bundleFiles, checkpointPath, logTilePath } from '../../bundle/layout.ts';
import { leafListPath, writeListedLeaf } from '../../bundle/leaf-list.ts';
import type { BundleTime } from '../../bundle/time-of-bundle.ts';
import { HASH_BYTES } from '../../crypto/sha256.ts';
import { EvidenceFault } from '../../evidence-fault.ts';
import type { FolderWriter } from '../../files/folder-writer.ts';
import { writeJournal } from '../../journal/statement-text.ts';
import { journalLeaf } from '../../leaves/leaf.ts';
import type { LogName } from '../../notes/origin.ts';
import { leafHash } from '../../tree/merkle.ts';
import { TILE_WIDTH, widthOfTile } from '../../tree/tiles.ts';
import { tilesOfPart } from '../../tree/tiles-of-part.ts';
import type { Anchor } from '../../verify/verify-anchors.ts';
import { copyChanges, field, integer } from '../copy-logs.sql.ts';
import type { ExportedLogs } from '../snapshot.sql.ts';
import { type OneSource, prefixesOf, readDisclosed } from './disclosed-statements.sql.ts';

/** What a bundle of one source is up to. */
export interface CopiedPart {
  /** Leaves of the source. */
  readonly leaves: number;
  /** Up to this position all of its events are there. */
  readonly completeTo: number;
}

export interface PartOptions {
  readonly source: OneSource;
  /** Kept checkpoints that the bundle is to be compared with: hashes for their sizes are in it. */
  readonly anchors?: readonly Anchor[] | undefined;
  /** Later contents only of events of this time. */
  readonly time?: BundleTime | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** So many tiles in one query: 2 MB. */
const CHUNK = 256;

/**
 * Writes what proves the leaves of one source: lists of leaves, tiles, and the statements about it. Throws OrgtrailError `usage` if no signed
 * statement says how many events the source has.
 */
export const copyPart = async (
  client: PoolClient,
  logs: ExportedLogs,
  { source, anchors = [], time, signal }: PartOptions,
  writer: FolderWriter,
): Promise<CopiedPart> => {
  const disclosed = await readDisclosed(client, logs, source, signal);
  const coverage = disclosed.flatMap(({ statement }) => (statement?.type === 'coverage' ? [statement] : []));
  const last = coverage.at(-1);
  if (last === undefined) {
    throw new OrgtrailError('usage', `no signed statement says how many events ${source.kind} ${source.id} has`, {
      hint: `orgtrail evidence statement --${source.kind} ${source.id}`,
    });
  }
  const { leaves, tiles } = await copyLeaves(client, logs, source, writer, signal);
  writer.write(bundleFiles.journalEntries, Buffer.from(writeJournal(disclosed.map(({ text }) => text))));
  const records = disclosed.map(({ index, text }) => writeListedLeaf({ index, hash: leafHash(journalLeaf(text)) }));
  writer.write(leafListPath('journal'), Buffer.concat(records));
  const statementTiles = disclosed.map(({ index }) => Math.floor(index / TILE_WIDTH));
  const prefixes = prefixesOf(disclosed, logs, anchors);
  await copyTiles(client, logs, { log: 'events', leafTiles: tiles, prefixes: prefixes.events }, writer);
  await copyTiles(client, logs, { log: 'journal', leafTiles: statementTiles, prefixes: prefixes.journal }, writer);
  for (const log of ['events', 'journal'] as const) writer.write(checkpointPath(log), Buffer.from(logs[log].note));
  await copyChanges(client, logs, writer, { signal, source, time });
  return { leaves, completeTo: last.tree.size };
};

/** The leaves that the stored numbers of sources give to it: a wrong number gives another chain. */
const copyLeaves = async (
  client: PoolClient,
  { generation, events: { size } }: ExportedLogs,
  { kind, id }: OneSource,
  writer: FolderWriter,
  signal: AbortSignal | undefined,
): Promise<{ readonly leaves: number; readonly tiles: ReadonlySet<number> }> => {
  const { rows } = await client.query<{ number: number }>(
    'select number from evidence_sources where generation = $1 and source_kind = $2 and source_id = $3',
    [generation, kind, id],
  );
  const number = rows[0]?.number;
  const file = writer.open(leafListPath('events'));
  const tiles = new Set<number>();
  let leaves = 0;
  const query = `select n, hashes, sources from evidence_tiles
    where log = 'events' and generation = ${integer(generation)} and level = 0 order by n`;
  if (number !== undefined) {
    await copyWithin(
      client,
      query,
      (row) => {
        const n = Number(row.bytes.readBigInt64BE(row.starts[0]));
        const [hashes, sources] = [field(row, 1), field(row, 2)];
        for (let at = 0; at < widthOfTile(size, 0, n) && 2 * at < sources.length; at += 1) {
          if (sources.readUInt16BE(2 * at) !== number) continue;
          const hash = hashes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES);
          file.write(writeListedLeaf({ index: n * TILE_WIDTH + at, hash }));
          tiles.add(n);
          leaves += 1;
        }
      },
      { signal, long: true },
    );
  }
  file.end();
  return { leaves, tiles };
};

interface Part {
  readonly log: LogName;
  readonly leafTiles: Iterable<number>;
  readonly prefixes: Iterable<number>;
}

const copyTiles = async (
  client: PoolClient,
  logs: ExportedLogs,
  { log, ...part }: Part,
  writer: FolderWriter,
): Promise<void> => {
  const tiles = tilesOfPart(logs[log].size, part);
  try {
    for (let at = 0; at < tiles.length; at += CHUNK) {
      for (const tile of await readTiles(client, log, logs.generation, tiles.slice(at, at + CHUNK)))
        writer.write(logTilePath(log, tile), tile.hashes.subarray(0, tile.width * HASH_BYTES));
    }
  } catch (error) {
    if (error instanceof EvidenceFault) throw new OrgtrailError('evidence_fails', error.message, { cause: error });
    throw error;
  }
};
