import { OrgtrailError, reasonOf } from '../../base/errors.ts';
import type { Pool } from '../../postgres/pool.ts';
import type { Anchor, AnchorHistory, AnchorTarget } from '../anchor.ts';
import { openAnchors, type S3Settings } from '../anchors/open-anchors.ts';
import { EvidenceFault, unlessFault } from '../bytes.ts';
import { type Checkpoint, keyOfLog, type LogOrigin, openCheckpoint, parseOrigin } from '../notes/checkpoint.ts';
import { parseNote } from '../notes/signed-note.ts';
import { readAnchorStatus } from '../stored/evidence-status.sql.ts';

export interface KnownNote extends Checkpoint {
  readonly number: number;
  readonly note: string;
}

/** So it fits into a `begin`, with a hundred witnesses. */
const MAX_NOTE_BYTES = 20_000;

/** Of this log or a later one. Throws an EvidenceFault that says why it is none, or that none of the keys signed it. */
export const openKnownNote = (
  note: Uint8Array,
  { base, feedId, number }: LogOrigin,
  ...publicKeys: readonly Uint8Array[]
): KnownNote => {
  if (note.length > MAX_NOTE_BYTES) throw new EvidenceFault(`note has more than ${MAX_NOTE_BYTES} bytes`);
  const origin = parseNote(note).text.split('\n', 1)[0] ?? '';
  const of = parseOrigin(origin);
  if (of.base !== base || of.feedId !== feedId)
    throw new EvidenceFault(`is a checkpoint of ${origin}, which is not a log of this feed`);
  if (of.number < number) throw new EvidenceFault(`is of log ${of.number}, before this one`);
  const logs = publicKeys.map((key) => keyOfLog(origin, key));
  const { size, root } = openCheckpoint(note, { logs, witnesses: [] });
  return { origin, size, root, number: of.number, note: Buffer.from(note).toString() };
};

/** Undefined if nothing follows from it. */
export const believed = (...known: Parameters<typeof openKnownNote>): KnownNote | undefined =>
  unlessFault(() => openKnownNote(...known));

interface StoppedLog extends LogOrigin {
  /** Every key that signed it. */
  readonly publicKeys: readonly Uint8Array[];
  /** Whether the stored tree goes on from a checkpoint. */
  readonly isHeld: (known: KnownNote) => Promise<boolean>;
}

interface Anchored {
  readonly notes: readonly KnownNote[];
  /** Of this log and of later ones. */
  readonly statements: readonly string[];
}

/** Numbers without a checkpoint between two that have one. */
const MAX_MISSING = 10;
/** Files in a row that the log has not signed. */
const MAX_UNSIGNED = 20;

/**
 * The newest checkpoint of this log and of each later one, whose number must not be given again; of this one also the
 * largest that the stored tree holds, and the smallest that it contradicts; and what was stated. Rejects if it cannot be read.
 */
const readAnchored = async (anchor: Anchor, log: StoppedLog): Promise<Anchored> => {
  const [notes, statements]: [KnownNote[], string[]] = [[], []];
  if (anchor.history === undefined) return { notes, statements };
  for (let number = log.number, missing = 0; missing < MAX_MISSING; number += 1) {
    const history = await anchor.history(number);
    const noteBefore = signedNotes(history, { ...log, number });
    const newest = await noteBefore(history.sizes.length);
    missing = newest === undefined ? missing + 1 : 0;
    if (newest === undefined) continue;
    notes.push(newest.known);
    statements.push(...((await anchor.statements?.(number)) ?? []));
    if (number === log.number) notes.push(...(await whereTheyPart(noteBefore, newest.index, log.isHeld)));
  }
  return { notes, statements };
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
const signedNotes = (history: AnchorHistory, of: Omit<StoppedLog, 'isHeld'>) => async (end: number) => {
  for (let index = end - 1; index >= Math.max(0, end - MAX_UNSIGNED); index -= 1) {
    const known = believed(await history.read(index), of, ...of.publicKeys);
    if (known !== undefined) return { known, index };
  }
  return undefined;
};

/** A witness shows no checkpoints. */
const readable = /^(file|s3):/;

/**
 * `statements` is undefined if no anchor keeps any. Throws OrgtrailError `usage` for an anchor that cannot be read, that only the daemon has,
 * or that `without` names wrongly.
 */
export const readConfiguredAnchors = async (
  pool: Pool,
  { anchors: targets, s3 }: { readonly anchors: readonly AnchorTarget[]; readonly s3: S3Settings },
  without: readonly string[],
  log: StoppedLog,
): Promise<{ readonly notes: readonly KnownNote[]; readonly statements: readonly string[] | undefined }> => {
  const anchors = openAnchors(targets, s3);
  const ofDaemon = (await readAnchorStatus(pool)).flatMap(({ anchor, isConfigured }) =>
    isConfigured && readable.test(anchor) ? [anchor] : [],
  );
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
  const used = anchors.filter(({ name, history }) => history !== undefined && !without.includes(name));
  const read: Anchored[] = [];
  for (const anchor of used) read.push(await readOne(anchor, log));
  return {
    notes: read.flatMap(({ notes }) => notes),
    statements: read.length === 0 ? undefined : read.flatMap(({ statements }) => statements),
  };
};

const readOne = async (anchor: Anchor, log: StoppedLog): Promise<Anchored> => {
  try {
    return await readAnchored(anchor, log);
  } catch (error) {
    throw new OrgtrailError('usage', `the anchor ${anchor.name} cannot be read: ${reasonOf(error)}`, {
      hint: `what it has decides about the number of the next log, what is lost, and the holds; if it is lost, leave it out: --without-anchor ${anchor.name}`,
      cause: error,
    });
  }
};
