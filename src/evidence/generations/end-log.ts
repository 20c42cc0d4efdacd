import { OrgtrailError } from '../../errors.ts';
import type { EvidenceStore, StoredLogs } from '../builder/ports.ts';
import { EvidenceFault } from '../evidence-fault.ts';
import { endEntry } from '../growth/due-statements.ts';
import { LogsInMemory } from '../growth/logs-in-memory.ts';
import type { GenerationStore, NewJournal } from './generation-store.sql.ts';

export interface EndOptions {
  readonly store: EvidenceStore;
  readonly generations: GenerationStore;
  readonly reason: string;
  readonly by: string;
  /** Else the end is in the database alone. */
  readonly isStated: boolean;
}

/** A process that builds beside this one changes the log between two of these. */
const ATTEMPTS = 20;

/**
 * Ends the newest generation: with a last statement, which a process that has the key signs, or without one. Nothing is deleted. Throws
 * OrgtrailError `usage` if there is no log, it has ended, or nothing can be signed any more.
 */
export const endLog = async ({ store, generations, reason, by, isStated }: EndOptions): Promise<StoredLogs> => {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const logs = requireGoing(await store.readLogs(), isStated);
    const journal = isStated ? await lastJournal(store, logs, { reason, by }) : undefined;
    if (journal !== 'moved' && (await generations.end(logs, by, reason, journal))) return logs;
  }
  throw new OrgtrailError('usage', 'the log grows faster than it can be ended', { hint: 'repeat the command' });
};

const requireGoing = (logs: StoredLogs | undefined, isStated: boolean): StoredLogs => {
  if (logs === undefined) throw new OrgtrailError('usage', 'there is no log to end');
  if (logs.isEnded) throw new OrgtrailError('usage', 'the log has been ended already');
  const state = logs.isHere ? logs.state : 'of a server that failed over or was restored';
  if (!isStated || state === 'building' || state === 'ok') return logs;
  throw new OrgtrailError('usage', `the log is ${state}, so that no last statement can be signed`, {
    hint: '--without-key ends it in the database alone',
  });
};

/** `moved`: another process has grown it since it was read. */
const lastJournal = async (
  store: EvidenceStore,
  logs: StoredLogs,
  said: { readonly reason: string; readonly by: string },
): Promise<NewJournal | 'moved'> => {
  const { at, events, journal } = logs;
  const loaded = await store.load(logs);
  const memory = new LogsInMemory(loaded, () => {
    throw new Error('no event is appended');
  });
  if (!memory.rootOf('journal').equals(journal.root)) {
    if ((await store.readLogs())?.journal.size !== journal.size) return 'moved';
    throw new EvidenceFault('the tiles of journal do not give its root');
  }
  const { origin, size, root } = events;
  const entry = endEntry(said, { at, tree: { origin, size, root: root.toString('base64') } });
  memory.state([entry]);
  return { entries: [entry], tiles: memory.take().tiles, root: memory.rootOf('journal') };
};
