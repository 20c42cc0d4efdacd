import type { PoolClient } from 'pg';
import { OrgtrailError } from '../../base/errors.ts';
import type { NamedSource } from '../builder/ports.ts';
import { bundleFiles, type Selection, writeSelection } from '../bundle/layout.ts';
import { EvidenceFault, unlessFault } from '../bytes.ts';
import { type Checkpoint, keyOfLog, parseCheckpoint, writePolicy } from '../notes/checkpoint.ts';
import { parseNote, printVerifierKey, type VerifierKey, whoSigned } from '../notes/signed-note.ts';
import type { KeptNote } from '../verify/kept.ts';
import { copyLeaves, findLeaves } from './copy-leaves.sql.ts';
import { copyReads, copyStatements, readAnchors, writeAnchors } from './copy-statements.sql.ts';
import type { WrittenBundle } from './readme.ts';
import type { ExportedLog } from './snapshot.sql.ts';
import type { BundleWriter } from './writer.ts';

export interface ExportOptions {
  readonly isPacked?: boolean;
  /** Also if what is stored is not what is signed. */
  readonly despiteFaults?: boolean;
  readonly source?: NamedSource | undefined;
  readonly since?: string | null;
  readonly before?: string | null;
  /** The third selection: its words, and what was found. */
  readonly search?: { readonly query: string; readonly positions: readonly number[] } | undefined;
  /** The bundle can be compared with them. */
  readonly kept?: readonly KeptNote[];
  /** Writes what else is to be in the bundle, when so many events are; gives lines of README.txt. */
  readonly finish?: (events: number) => readonly string[];
  readonly version: string;
  readonly publicKeys?: readonly Uint8Array[];
  readonly witnesses?: readonly VerifierKey[];
  /** How long to wait for the statement about a month that was dropped a moment ago. */
  readonly waitMs?: number;
  readonly signal?: AbortSignal | undefined;
  readonly observer?: {
    readonly onWritten?: (index: number, size: number) => void;
    readonly onVerified?: (bytes: number) => void;
  };
}

/** All but README.txt, FORMAT.txt and verify.py. Throws OrgtrailError `usage` for nothing to export, `evidence_fails` for damage. */
export const writeContent = async (
  client: PoolClient,
  log: ExportedLog,
  writer: BundleWriter,
  options: ExportOptions,
): Promise<Omit<WrittenBundle, 'report' | 'log'>> => {
  const { kept = [], witnesses = [], publicKeys = [], isPacked = false, signal, observer } = options;
  const selection = await selectionOf(client, options);
  const found = await orFails(() => findLeaves(client, options.search?.positions ?? [], log.size));
  const copied = await copyStatements(client, log, { selection, found, signal }, writer);
  await copyReads(client, copied, writer, signal);
  const anchors = await readAnchors(client, log, witnesses);
  writeAnchors(anchors, writer);
  const own = publicKeys.map((key) => keyOfLog(log.origin, key));
  const logs = whoSigned(log.note, [...own, ...copied.keys]);
  writer.write(bundleFiles.policy, Buffer.from(writePolicy({ logs, witnesses })));
  writer.write(bundleFiles.selection, Buffer.from(writeSelection(selection)));
  // The newest cosignature may be of this very checkpoint.
  const cosigned = anchors.find(({ size, note }) => size === log.size && note !== log.note);
  writer.write(bundleFiles.checkpoint, Buffer.from(cosigned?.note ?? log.note));
  const notes = [
    ...kept.map(({ note }) => note),
    ...anchors.map(({ note }) => Buffer.from(note)),
    ...copied.begins.flatMap(({ previous }) => (previous === null ? [] : [Buffer.from(previous)])),
  ];
  const sizes = notes.flatMap((note) => checkpointOf(note)?.size ?? []).filter((size) => size <= log.size);
  const toCopy = {
    ...copied,
    selection,
    size: log.size,
    statements: copied.indexes,
    found,
    splits: sizes,
    isPacked,
    signal,
  };
  const onLeaf = (index: number) => observer?.onWritten?.(index, log.size);
  const events = await orFails(() => copyLeaves(client, writer, { ...toCopy, onLeaf }));
  return { events, statements: copied.indexes.length, vkeys: logs.map(printVerifierKey), anchors };
};

const checkpointOf = (note: Uint8Array): Checkpoint | undefined =>
  unlessFault(() => parseCheckpoint(parseNote(note).text));

const selectionOf = async (
  client: PoolClient,
  { source, since = null, before = null, search }: ExportOptions,
): Promise<Selection> => {
  if (search !== undefined) return { source: null, since: null, before: null, query: search.query };
  if (source === undefined) return { source: null, since, before, query: null };
  const { rows } = await client.query<{ number: number }>(
    'select number::float8 as number from evidence_sources where kind = $1 and id = $2',
    [source.kind, source.id],
  );
  const [row] = rows;
  if (row === undefined) throw new OrgtrailError('usage', `the log has nothing of ${source.kind} ${source.id} yet`);
  return { source: row.number, since, before, query: null };
};

/** A stored log that is damaged is no evidence. */
const orFails = async <T>(read: () => Promise<T>): Promise<T> => {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof EvidenceFault)) throw error;
    throw new OrgtrailError('evidence_fails', `what is stored is not what was signed: ${error.message}`, {
      cause: error,
    });
  }
};
