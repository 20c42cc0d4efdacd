import { keyOfLog } from '../builder/sign-log.ts';
import { EvidenceFault } from '../evidence-fault.ts';
import type { Checkpoint } from '../notes/checkpoint.ts';
import { openCheckpoint } from '../notes/open-checkpoint.ts';
import { type LogName, type LogOrigin, parseOrigin, writeOrigin } from '../notes/origin.ts';
import { parseNote } from '../notes/signed-note.ts';

/** A signed checkpoint of the events that is known, and its generation. */
export interface KnownNote extends Checkpoint {
  readonly generation: number;
  readonly note: string;
}

/** Fits into the statement of a fork beside the rest, with a hundred witnesses. */
const MAX_NOTE_BYTES = 20_000;

/** The feed and the log that a checkpoint is to be of; without `log`, the events. */
type Wanted = Omit<LogOrigin, 'log'> & { readonly log?: LogName };

/**
 * Reads a checkpoint of a log of this feed, of this generation or a later one. Throws an EvidenceFault that says why it is none,
 * or that no key of these signed it.
 */
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
  const policy = {
    logs: publicKeys.map((key) => keyOfLog(origin, key)),
    witnesses: [],
    quorum: { needed: 0, members: [] },
  };
  const { size, root } = openCheckpoint(note, policy);
  return { origin, size, root, generation: of.generation, note: Buffer.from(note).toString() };
};

/** The same of a note that the database has: undefined if nothing follows from it. */
export const believed = (...known: Parameters<typeof openKnownNote>): KnownNote | undefined => {
  try {
    return openKnownNote(...known);
  } catch (error) {
    if (error instanceof EvidenceFault) return undefined;
    throw error;
  }
};
