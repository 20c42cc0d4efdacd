import { OrgtrailError, reasonOf } from '../../base/errors.ts';
import type { Pool } from '../../postgres/pool.ts';
import type { Anchor, AnchorHistory, AnchorTarget } from '../anchor.ts';
import { openAnchors, type S3Settings } from '../anchors/open-anchors.ts';
import { keyOfLog } from '../builder/signing-keys.ts';
import { EvidenceFault, unlessFault } from '../bytes.ts';
import { tags } from '../leaf.ts';
import { type Checkpoint, type LogName, type LogOrigin, parseOrigin, writeOrigin } from '../notes/checkpoint.ts';
import { openCheckpoint, policyOfKeys } from '../notes/policy.ts';
import { parseNote } from '../notes/signed-note.ts';
import { readAnchorStatus } from '../stored/evidence-status.sql.ts';
import { GrowingTree } from '../tree/growing-tree.ts';
import { leafHash } from '../tree/tiles.ts';

export interface KnownNote extends Checkpoint {
  readonly generation: number;
  readonly note: string;
}

/** So it fits into the statement of a fork, with a hundred witnesses. */
const MAX_NOTE_BYTES = 20_000;

/** Without `log`, the events. */
type Wanted = Omit<LogOrigin, 'log'> & { readonly log?: LogName };

/** Of this generation or a later one. Throws an EvidenceFault that says why it is none, or that none of the keys signed it. */
export const openKnownNote = (
  note: Uint8Array,
  { base, feedId, generation, log = 'events' }: Wanted,
  ...publicKeys: readonly Uint8Array[]
): KnownNote => {
  if (note.length > MAX_NOTE_BYTES) throw new EvidenceFault(`note has more than ${MAX_NOTE_BYTES} bytes`);
  const origin = parseNote(note).text.split('\n', 1)[0] ?? '';
  const of = parseOrigin(origin);
  if (writeOrigin({ ...of, generation }) !== writeOrigin({ base, feedId, generation, log })) {
    throw new EvidenceFault(`is a checkpoint of ${origin}, which is not the log of the ${log} of this feed`);
  }
  if (of.generation < generation) throw new EvidenceFault(`is of generation ${of.generation}, before this one`);
  const keys = publicKeys.map((key) => keyOfLog(origin, key));
  const { size, root } = openCheckpoint(note, policyOfKeys(keys));
  return { origin, size, root, generation: of.generation, note: Buffer.from(note).toString() };
};

/** Undefined if nothing follows from it. */
export const believed = (...known: Parameters<typeof openKnownNote>): KnownNote | undefined =>
  unlessFault(() => openKnownNote(...known));

interface StoppedLog {
  readonly base: string;
  readonly feedId: string;
  readonly generation: number;
  /** Every key that signed it. */
  readonly publicKeys: readonly Uint8Array[];
  /** Whether the stored tree goes on from a checkpoint. */
  readonly isHeld: (known: KnownNote) => Promise<boolean>;
}

interface Anchored {
  readonly notes: readonly KnownNote[];
  /** Of this generation and of later ones. */
  readonly statements: readonly string[];
  /** The text of the last ones may lack. */
  readonly signedStatements: number;
}

/** Generations without a checkpoint between two that have one. */
const MAX_MISSING = 10;
/** Files in a row that the log has not signed. */
const MAX_UNSIGNED = 20;

/**
 * The newest checkpoint of this generation and of each later one, whose number must not be given again; of this one also the
 * largest that the stored tree holds, and the smallest that it contradicts; and what was stated. Rejects if it cannot be read.
 */
const readAnchored = async (anchor: Anchor, log: StoppedLog): Promise<Anchored> => {
  if (anchor.history === undefined) return { notes: [], statements: [], signedStatements: 0 };
  const found: KnownNote[] = [];
  const statements: string[] = [];
  let signedStatements = 0;
  for (let generation = log.generation, missing = 0; missing < MAX_MISSING; generation += 1) {
    const history = await anchor.history({ log: 'events', generation });
    const noteBefore = signedNotes(history, { ...log, generation });
    const newest = await noteBefore(history.sizes.length);
    missing = newest === undefined ? missing + 1 : 0;
    if (newest === undefined) continue;
    found.push(newest.known);
    const stated = await statementsAt(anchor, { ...log, generation });
    statements.push(...stated.texts);
    signedStatements += stated.signed;
    if (generation === log.generation) found.push(...(await whereTheyPart(noteBefore, newest.index, log.isHeld)));
  }
  return { notes: found, statements, signedStatements };
};

/** Up to the newest checkpoint of the journal whose statements are all there: they come after it. */
const statementsAt = async (anchor: Anchor, log: StoppedLog) => {
  const history = await anchor.history?.({ log: 'journal', generation: log.generation });
  if (history === undefined || anchor.statements === undefined) return { texts: [], signed: 0 };
  const noteBefore = signedNotes(history, { ...log, log: 'journal' });
  let at = await noteBefore(history.sizes.length);
  if (at === undefined) return { texts: [], signed: 0 };
  const signed = at.known.size;
  let failure: unknown;
  for (let tried = 0; at !== undefined && tried < MAX_UNSIGNED; tried += 1) {
    try {
      const leaves = await anchor.statements(log.generation, at.known.size);
      const tree = new GrowingTree();
      for (const leaf of leaves) tree.append(leafHash(leaf));
      if (tree.root().equals(at.known.root))
        return { texts: leaves.map((leaf) => leaf.toString('utf8', tags.journal.length)), signed };
      failure = new Error(`its ${at.known.size} statements are not those that were signed`);
    } catch (error) {
      failure = error;
    }
    at = await noteBefore(at.index);
  }
  throw failure;
};

/** Up to there each checkpoint is held, and none after it. */
const whereTheyPart = async (
  noteBefore: ReturnType<typeof signedNotes>,
  newest: number,
  isHeld: StoppedLog['isHeld'],
) => {
  let held: KnownNote | undefined;
  let contradicted: KnownNote | undefined;
  let [low, high] = [0, newest + 1];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const at = await noteBefore(middle + 1);
    // Nothing in between is signed.
    if (at === undefined || at.index < low) low = middle + 1;
    else if (await isHeld(at.known)) {
      held = at.known;
      low = middle + 1;
    } else {
      contradicted = at.known;
      high = at.index;
    }
  }
  return [held, contradicted].filter((known) => known !== undefined);
};

/** Finds the last signed note before an index of the history; undefined if none is near. */
const signedNotes =
  (history: AnchorHistory, of: Omit<StoppedLog, 'isHeld'> & { readonly log?: LogName }) => async (end: number) => {
    for (let index = end - 1; index >= Math.max(0, end - MAX_UNSIGNED); index -= 1) {
      const known = believed(await history.read(index), of, ...of.publicKeys);
      if (known !== undefined) return { known, index };
    }
    return undefined;
  };

/** A witness and an authority show no checkpoints. */
const readable = /^(file|s3):/;

/** Throws OrgtrailError `usage` for an anchor that cannot be read, that only the daemon has, or that `without` names wrongly. */
export const readConfiguredAnchors = async (
  pool: Pool,
  { anchors: targets, s3 }: { readonly anchors: readonly AnchorTarget[]; readonly s3: S3Settings },
  without: readonly string[],
  log: StoppedLog,
): Promise<Anchored & { readonly readStatements: number }> => {
  const anchors = openAnchors(targets, s3);
  const ofDaemon = await anchorsOfDaemon(pool, log.generation);
  const names = [...new Set([...anchors.map(({ name }) => name), ...ofDaemon])];
  const unknown = without.find((name) => !names.includes(name));
  if (unknown !== undefined) {
    const known = names.length === 0 ? 'there is none' : `there are ${names.join(', ')}`;
    throw new OrgtrailError('usage', `--without-anchor ${unknown}: there is no such anchor; ${known}`);
  }
  const missing = ofDaemon.find((name) => !without.includes(name) && anchors.every((anchor) => anchor.name !== name));
  if (missing !== undefined) {
    const hint = `set it, or leave it out: --without-anchor ${missing}`;
    const message = `the daemon has the anchor ${missing}, and ORGTRAIL_EVIDENCE_ANCHORS here has not`;
    throw new OrgtrailError('usage', message, { hint });
  }
  const read: Anchored[] = [];
  for (const anchor of anchors) {
    if (!without.includes(anchor.name)) read.push(await readOne(anchor, log));
  }
  return {
    notes: read.flatMap(({ notes }) => notes),
    statements: read.flatMap(({ statements }) => statements),
    signedStatements: Math.max(0, ...read.map(({ signedStatements }) => signedStatements)),
    readStatements: Math.max(0, ...read.map(({ statements }) => statements.length)),
  };
};

const anchorsOfDaemon = async (pool: Pool, generation: number): Promise<string[]> => {
  const known = await readAnchorStatus(pool, generation);
  return known.flatMap(({ anchor, isConfigured }) => (isConfigured && readable.test(anchor) ? [anchor] : []));
};

const readOne = async (anchor: Anchor, log: StoppedLog): Promise<Anchored> => {
  try {
    return await readAnchored(anchor, log);
  } catch (error) {
    throw new OrgtrailError('usage', `the anchor ${anchor.name} cannot be read: ${reasonOf(error)}`, {
      hint: `what it has decides about the number of the generation, the common size and the holds; if it is lost, leave it out: --without-anchor ${anchor.name}`,
      cause: error,
    });
  }
};
