import type { PoolClient } from 'pg';
import { OrgtrailError } from '../../base/errors.ts';
import { type BinaryRow, copyWithin } from '../../postgres/copy.ts';
import { statementOf } from '../append/keys-in-force.ts';
import { readTiles } from '../builder/load-logs.sql.ts';
import {
  type BundleTime,
  bundleFiles,
  checkpointPath,
  leafListPath,
  logTilePath,
  writeListedLeaf,
} from '../bundle/layout.ts';
import { HASH_BYTES, unlessFault } from '../bytes.ts';
import type { FolderWriter } from '../files/folder-writer.ts';
import type { Statement, StatementOf } from '../journal/statement.ts';
import { writeJournal } from '../journal/statement-text.ts';
import { journalLeaf } from '../leaf.ts';
import { type LogName, parseCheckpoint } from '../notes/checkpoint.ts';
import { originOf } from '../notes/policy.ts';
import { parseNote } from '../notes/signed-note.ts';
import { tilesOfPart } from '../tree/proofs.ts';
import { leafHash, TILE_WIDTH, widthOfTile } from '../tree/tiles.ts';
import type { Anchor } from '../verify/anchors.ts';
import { copyChanges, field, integer } from './copy-logs.sql.ts';
import { type ExportedLogs, orFails } from './snapshot.sql.ts';

export interface CopiedPart {
  readonly leaves: number;
  /** Up to this position all events of the source are there. */
  readonly completeTo: number;
}

interface PartOptions {
  readonly source: OneSource;
  /** Hashes for the sizes of these are in the bundle. */
  readonly anchors?: readonly Anchor[] | undefined;
  readonly time?: BundleTime | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Of one query: 2 MB. */
const CHUNK = 256;

/** Throws OrgtrailError `usage` if no signed statement says how many events the source has. */
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
  const records = disclosed.map(({ index, text }) => writeListedLeaf(index, leafHash(journalLeaf(text))));
  writer.write(leafListPath('journal'), Buffer.concat(records));
  const statementTiles = disclosed.map(({ index }) => Math.floor(index / TILE_WIDTH));
  const prefixes = prefixesOf(disclosed, logs, anchors);
  await copyTiles(client, logs, { log: 'events', leafTiles: tiles, prefixes: prefixes.events }, writer);
  await copyTiles(client, logs, { log: 'journal', leafTiles: statementTiles, prefixes: prefixes.journal }, writer);
  for (const log of ['events', 'journal'] as const) writer.write(checkpointPath(log), Buffer.from(logs[log].note));
  await copyChanges(client, logs, writer, { signal, source, time });
  return { leaves, completeTo: last.tree.size };
};

/** By the stored numbers of sources: a wrong one gives another chain. */
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
  const take = (row: BinaryRow) => {
    const n = Number(row.bytes.readBigInt64BE(row.starts[0]));
    const [hashes, sources] = [field(row, 1), field(row, 2)];
    for (let at = 0; at < widthOfTile(size, 0, n) && 2 * at < sources.length; at += 1) {
      if (sources.readUInt16BE(2 * at) !== number) continue;
      const hash = hashes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES);
      file.write(writeListedLeaf(n * TILE_WIDTH + at, hash));
      tiles.add(n);
      leaves += 1;
    }
  };
  if (number !== undefined) await copyWithin(client, query, take, { signal, long: true });
  file.end();
  return { leaves, tiles };
};

const copyTiles = async (
  client: PoolClient,
  logs: ExportedLogs,
  { log, ...part }: { readonly log: LogName } & Parameters<typeof tilesOfPart>[1],
  writer: FolderWriter,
): Promise<void> => {
  const tiles = tilesOfPart(logs[log].size, part);
  for (let at = 0; at < tiles.length; at += CHUNK) {
    const chunk = tiles.slice(at, at + CHUNK);
    for (const tile of await orFails(() => readTiles(client, log, logs.generation, chunk)))
      writer.write(logTilePath(log, tile), tile.hashes.subarray(0, tile.width * HASH_BYTES));
  }
};

export interface OneSource {
  readonly kind: 'organization' | 'account';
  readonly id: string;
}

interface Disclosed {
  readonly index: number;
  readonly text: string;
  /** Undefined: cannot be read, as the verifier says. */
  readonly statement: Statement | undefined;
}

/** All other statements are hidden, also those of later versions. */
const common = ['genesis', 'fork', 'key', 'schema', 'timestamp', 'drop', 'jump', 'clock', 'end'];
const own = ['source', 'coverage', 'change', 'hold'];

const readDisclosed = async (
  client: PoolClient,
  { generation, journal }: ExportedLogs,
  source: OneSource,
  signal: AbortSignal | undefined,
): Promise<Disclosed[]> => {
  const organizationId = await organizationOf(client, source);
  const changes = await readChanged(client, source);
  const quote = (text: string) => client.escapeLiteral(text);
  const ref = `${source.kind}/${source.id}`;
  // Most statements are coverage of others: their names say which.
  const query = `select index, kind, ref, text from evidence_journal
    where generation = ${integer(generation)} and index < ${integer(journal.size)}
      and (kind in (${[...common, 'change', 'hold'].map(quote).join()}) or kind = 'source' and ref = ${quote(ref)}
        or kind = 'coverage' and starts_with(ref, ${quote(`${ref}/`)}))
    order by index`;
  const disclosed: Disclosed[] = [];
  const take = (row: BinaryRow) => {
    const [kind, name, text] = [1, 2, 3].map((at) => field(row, at).toString()) as [string, string, string];
    const statement = statementOf(text);
    const isOwn = !own.includes(kind) || isAbout(statement, source, organizationId) || changes.has(`${kind} ${name}`);
    if (isOwn) disclosed.push({ index: Number(row.bytes.readBigInt64BE(row.starts[0])), text, statement });
  };
  await copyWithin(client, query, take, { signal, long: true });
  return disclosed;
};

const isAbout = (statement: Statement | undefined, { kind, id }: OneSource, organizationId: string | null): boolean => {
  if (statement?.type === 'source') return statement.kind === kind && statement.id === id;
  if (statement?.type === 'coverage') return statement.source_kind === kind && statement.source_id === id;
  if (statement?.type !== 'hold') return false;
  const { organization_id: organization, account_id: account } = statement;
  if (organization === null && account === null) return true;
  if (kind === 'organization') return organization === id;
  return account === id || (account === null && organization === organizationId);
};

/** Of an account: a hold of that organization may have its events. */
const organizationOf = async (client: PoolClient, { kind, id }: OneSource): Promise<string | null> => {
  const { rows } = await client.query<{ text: string }>(
    `select text from evidence_journal where kind = 'source' and ref = $1 order by generation desc limit 1`,
    [`${kind}/${id}`],
  );
  const statement = rows[0] && statementOf(rows[0].text);
  return statement?.type === 'source' ? statement.organization_id : null;
};

const readChanged = async (client: PoolClient, { kind, id }: OneSource): Promise<ReadonlySet<string>> => {
  const { rows } = await client.query<{ id: string }>(
    'select id::text as id from audit_event_changes where source_kind = $1 and source_id = $2',
    [kind, id],
  );
  return new Set(rows.map((row) => `change ${row.id}`));
};

/** At which these statements, and kept checkpoints, name a root. */
const prefixesOf = (disclosed: readonly Disclosed[], logs: ExportedLogs, anchors: readonly Anchor[]) => {
  const statements = disclosed.flatMap(({ statement }) => (statement === undefined ? [] : [statement]));
  const forks = statements.flatMap((one) => (one.type === 'fork' ? forkSizes(one) : []));
  const stamps = statements.flatMap((one) => (one.type === 'timestamp' ? [one.checkpoint.size] : []));
  const kept = (log: LogName) =>
    anchors.flatMap(({ note }) => anchorSize(note, log)).filter((size) => size <= logs[log].size);
  return {
    events: new Set([...statements.map(({ tree }) => tree.size), ...forks, ...kept('events')]),
    journal: new Set([...stamps, ...kept('journal')]),
  };
};

/** None of a file that the verifier will refuse. */
const anchorSize = (note: Uint8Array, log: LogName): number[] => {
  const checkpoint = unlessFault(() => parseCheckpoint(parseNote(note).text));
  return checkpoint !== undefined && originOf(checkpoint.origin)?.log === log ? [checkpoint.size] : [];
};

/** Compared as far as it is common. */
const forkSizes = ({ last_note: note, common_size: common }: StatementOf<'fork'>): number[] => {
  if (note === '') return [];
  const { size } = parseCheckpoint(parseNote(Buffer.from(note)).text);
  return size <= common ? [size] : [];
};
