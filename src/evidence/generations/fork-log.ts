import { OrgtrailError } from '../../base/errors.ts';
import { bytesOfKeys, everyKeySoFar, type KeyHistory, statementsOf, stolenKeys } from '../append/keys-in-force.ts';
import { type NewEntry, newEntry, sourceEntry } from '../append/new-statements.ts';
import { requireOrigin } from '../builder/builder.ts';
import type { EvidenceStore } from '../builder/evidence-store.sql.ts';
import { rootOfFirst } from '../builder/known-checkpoints.ts';
import type { StoredLogs } from '../builder/ports.ts';
import { vkeysOf } from '../builder/signing-keys.ts';
import type { StatementOf } from '../journal/statement.ts';
import { journalLeaf } from '../leaf.ts';
import { type LogName, writeOrigin } from '../notes/checkpoint.ts';
import { parseVerifierKey } from '../notes/signed-note.ts';
import { GrowingTree } from '../tree/growing-tree.ts';
import { leafHash } from '../tree/tiles.ts';
import type { GenerationStore, NewJournal } from './end-log.sql.ts';
import { believed, type KnownNote } from './known-checkpoints.ts';

export interface ForkOptions {
  readonly store: EvidenceStore;
  readonly generations: GenerationStore;
  readonly base: string;
  readonly publicKey: Buffer;
  /** So that those that signed before count. */
  readonly keys?: KeyHistory;
  readonly version: string;
  readonly reason: string;
  readonly by: string;
  readonly kept: readonly KnownNote[];
  /** Kept elsewhere; holds in them may be lost here. */
  readonly statements?: readonly string[];
  readonly withoutHolds?: boolean;
  readonly onCopied?: (tiles: number, of: number) => void;
  /** In one transaction. */
  readonly tilesAtOnce?: number;
}

export interface Fork {
  readonly generation: number;
  /** Of the log of the events. */
  readonly oldOrigin: string;
  readonly origin: string;
  readonly vkeys: readonly string[];
  readonly common: CommonTree;
  /** Of the tree that goes on. */
  readonly size: number;
  readonly knownSize: number;
  readonly lastNote: string;
  /** In force in the old log, and covered by nothing here. */
  readonly lostHolds: readonly StatementOf<'hold'>[];
}

/** 9 MB: some tenths of a second. */
const TILES_AT_ONCE = 1_000;
const states = ['behind', 'forked', 'ended'];

/** Throws OrgtrailError `usage` for a log that no other generation may follow. */
export const requireStopped = (logs: StoredLogs | undefined): StoredLogs => {
  if (logs === undefined) {
    throw new OrgtrailError('usage', 'there is no log yet', { hint: '`orgtrail evidence init` begins it' });
  }
  const state = logs.isEnded ? 'ended' : logs.state;
  if (states.includes(state)) return logs;
  const hint = !logs.isHere
    ? 'a process that has the key compares it first. If a restore took the database back to before this key, order that once more: `orgtrail evidence key --rotate --reason lost`'
    : state === 'halted'
      ? 'find out what it says, or end the log: `orgtrail evidence end`. Another generation would hide it'
      : 'a log that can go on keeps its name: `orgtrail evidence status`';
  const message = `the log is ${state}: only one that is behind, forked or ended is followed by another`;
  throw new OrgtrailError('usage', message, { hint });
};

/**
 * Nothing is hashed again: the next generation has the same tree, and a journal of fork and sources. The process that builds
 * states the rest. May end between any two statements, and be repeated. Throws OrgtrailError `usage` if it must not be.
 */
export const forkLog = async (options: ForkOptions): Promise<Fork> => {
  const { store, generations, base, publicKey, keys, kept } = options;
  const oldKeys = keys === undefined ? [] : bytesOfKeys(everyKeySoFar(keys));
  const logs = requireStopped(await store.readLogs());
  requireOrigin(logs, base);
  const { generation, feedId, events } = logs;
  const lostHolds = await findLostHolds(options, generation);
  const notes = await generations.readNotes(generation);
  // Opened one after the other: most are never needed.
  function* stored(): Generator<KnownNote> {
    for (const note of notes) {
      const known = believed(Buffer.from(note), { base, feedId, generation }, publicKey, ...oldKeys);
      if (known !== undefined) yield known;
    }
  }
  const [largest] = stored();
  const common = await commonTree(events.size, kept, stored(), (size) => rootAt(store, logs, size));
  const known = [...kept, ...(largest === undefined ? [] : [largest])];
  const last = known.toSorted((a, b) => b.generation - a.generation || b.size - a.size)[0];
  const next = 1 + Math.max(generation, ...known.map((one) => one.generation));
  const originOf = (log: LogName) => writeOrigin({ base, feedId, generation: next, log });
  const origins = [originOf('events'), originOf('journal')] as const;
  const vkeys = vkeysOf(origins, { publicKey });
  await copyTiles(options, generation, next);
  const entries = await firstEntries(options, logs, { origin: origins[0], vkeys, common, lastNote: last?.note ?? '' });
  if (!(await generations.fork(logs, next, origins, journalOf(entries)))) {
    throw new OrgtrailError('usage', 'the log is not what it was a moment ago: another process has changed it');
  }
  const knownSize = Math.max(0, ...known.map(({ size }) => size));
  const [origin, oldOrigin, lastNote] = [origins[0], events.origin, last?.note ?? ''];
  return { generation: next, oldOrigin, origin, vkeys, common, size: events.size, knownSize, lastNote, lostHolds };
};

const findLostHolds = async (
  { generations, statements = [], withoutHolds = false }: ForkOptions,
  generation: number,
): Promise<Fork['lostHolds']> => {
  const lost = await generations.uncovered(holdsInForce([...(await generations.readHolds(generation)), ...statements]));
  if (lost.length === 0 || withoutHolds) return lost;
  const named = lost.map(
    ({ id, organization_id, account_id, since, before, reason, created_at }) =>
      `\n  hold ${id} of ${created_at}, ${account_id ?? organization_id ?? 'all organizations'}, ` +
      `from ${since ?? 'the beginning'} to ${before ?? 'the end'}: ${reason}`,
  );
  throw new OrgtrailError('usage', `holds of the old log are not here:${named.join('')}`, {
    hint: 'add each again (`orgtrail hold add`) and repeat this, or leave them out: --without-holds',
  });
};

/** Once in each generation; an id comes again only if an earlier hold was lost. */
const holdsInForce = (texts: readonly string[]): StatementOf<'hold'>[] => {
  const keyOf = ({ id, created_at }: StatementOf<'hold'>) => `${id} ${created_at}`;
  const stated = statementsOf(texts).filter((one) => one.type === 'hold');
  const released = new Set(stated.filter(({ action }) => action === 'released').map(keyOf));
  const added = new Map(stated.map((hold) => [keyOf(hold), hold]));
  return [...added.values()].filter((hold) => !released.has(keyOf(hold)));
};

export const rootAt = (store: EvidenceStore, { generation, events: { size } }: StoredLogs, at: number) =>
  rootOfFirst(store.readTiles, 'events', generation, size, at);

const copyTiles = async (options: ForkOptions, generation: number, next: number): Promise<void> => {
  const { generations, onCopied, tilesAtOnce = TILES_AT_ONCE } = options;
  const all = await generations.countTiles(generation);
  let [copied, after] = [0, { level: -1, n: -1, tiles: 0 }];
  for (;;) {
    const at = await generations.copyTiles(generation, next, after, tilesAtOnce);
    if (at === undefined) return;
    copied += at.tiles;
    onCopied?.(copied, all);
    after = at;
  }
};

const firstEntries = async (
  options: ForkOptions,
  logs: StoredLogs,
  { origin, vkeys, common, lastNote }: Pick<Fork, 'origin' | 'vkeys' | 'common' | 'lastNote'>,
): Promise<NewEntry[]> => {
  const { store, generations, version, reason, by } = options;
  const { at, generation, feedId, head, retention = null, events, journal } = logs;
  // The tree that both generations have.
  const tree = { origin, size: common.size, root: common.root.toString('base64') };
  const said = { last_note: lastNote, common_size: common.size, cause: reason, by };
  const asGenesis = { version, feed_id: feedId, vkeys: [...vkeys], retention, adopted: head, ...keysBefore(options) };
  const old_journal = { origin: journal.origin, size: journal.size, root: journal.root.toString('base64') };
  const moment = { at, tree: { origin, size: events.size, root: events.root.toString('base64') } };
  const sources = await generations.readSources(generation);
  const organizations = await store.readOrganizations(sources);
  return [
    newEntry('1', { type: 'fork', at, tree, ...said, ...asGenesis, old_journal }),
    ...sources.map(({ number, kind, id }, index) =>
      sourceEntry({ number, kind, id, organization_id: organizations[index] ?? null }, moment),
    ),
  ];
};

/** An auditor may have a checkpoint that these signed. */
const keysBefore = ({ keys, publicKey }: ForkOptions): { old_vkeys?: string[]; stolen_vkeys?: string[] } => {
  if (keys === undefined) return {};
  const others = (vkeys: readonly string[]) =>
    vkeys.filter((vkey) => Buffer.compare(parseVerifierKey(vkey).publicKey, publicKey) !== 0);
  const [old, stolen] = [others(everyKeySoFar(keys)), others([...keys.earlierStolen, ...stolenKeys(keys)])];
  return { ...(old.length > 0 && { old_vkeys: old }), ...(stolen.length > 0 && { stolen_vkeys: stolen }) };
};

const journalOf = (entries: readonly NewEntry[]): NewJournal => {
  const tree = new GrowingTree();
  for (const { text } of entries) tree.append(leafHash(journalLeaf(text)));
  return { entries, tiles: tree.takeTiles(), root: tree.root() };
};

/** Certain to be what a known checkpoint has. */
type CommonTree = { readonly size: number; readonly root: Buffer };

/**
 * The largest known checkpoint that the stored tree goes on from, below the smallest of `kept` that it contradicts: what was
 * kept elsewhere was given out, what is stored may be of after the database went back, and counts only if none of `kept`
 * is held below that. `stored` descends, and is read only as far as needed.
 */
const commonTree = async (
  size: number,
  kept: readonly KnownNote[],
  stored: Iterable<KnownNote>,
  rootAt: (size: number) => Promise<Buffer>,
): Promise<CommonTree> => {
  const isHeld = async (known: KnownNote) => known.size <= size && (await rootAt(known.size)).equals(known.root);
  let bound = Number.POSITIVE_INFINITY;
  let common = 0;
  for (const known of kept) {
    if (known.size <= size && !(await isHeld(known))) bound = Math.min(bound, known.size);
  }
  for (const known of kept) {
    if (known.size < bound && known.size > common && (await isHeld(known))) common = known.size;
  }
  // One that is stored may be of after the database went back.
  const isBounded = bound < Number.POSITIVE_INFINITY && common > 0;
  for (const known of isBounded ? [] : stored) {
    if (known.size <= common) break;
    if (known.size < bound && (await isHeld(known))) {
      common = known.size;
      break;
    }
  }
  return { size: common, root: await rootAt(common) };
};
