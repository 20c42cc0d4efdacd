import { EvidenceFault } from '../bytes.ts';
import { microsecondsOf, type NumberRange, rangeText, timesOfMonth } from '../journal/instants.ts';
import {
  type Fields,
  holdsAgainst,
  MAX_STATEMENT_BYTES,
  type StatementOf,
  writeStatement,
} from '../journal/statement.ts';
import { LOG_NUMBER } from '../leaf.ts';
import type { LogInMemory } from './log.ts';

/** What the clock of the database was found to be. */
export interface ClockFound {
  readonly ref: string;
  /** It has shown this time before, which is later than now: it went back. Null: it did not. */
  readonly before: string | null;
  /** How many seconds it was ahead of Cloudflare's when they were last compared; null: they never were. */
  readonly ahead_seconds: number | null;
  readonly compared_at: string | null;
}

interface OfSource {
  /** Null: of everything. */
  readonly kind: string | null;
  readonly id: string | null;
  readonly organization_id: string | null;
}

export interface DueFacts {
  readonly schemas: readonly { readonly from_version: string; readonly to_version: string }[];
  readonly holds: readonly (OfSource & { readonly hold: Fields<'hold'> })[];
  readonly archived: readonly { readonly id: number; readonly facts: Readonly<Record<string, unknown>> }[];
  readonly drops: readonly DueDrop[];
  readonly changes: readonly (Fields<'change'> & { readonly id: number; readonly source: number })[];
}

export interface DueDrop {
  readonly id: number;
  readonly drop: Omit<Fields<'drop'>, 'indexes' | 'events'>;
  readonly indexes: readonly NumberRange[];
  /** Whose events they are. */
  readonly numbers: ReadonlySet<number>;
}

/** More are read with the next step. */
export const MAX_HOLDS = 100;

/** `stated`: the holds so far; gives them with those that are new. Throws an EvidenceFault for a drop that no retention can have made. */
export const stateDue = (
  memory: LogInMemory,
  due: DueFacts,
  stated: readonly StatementOf<'hold'>[],
): readonly StatementOf<'hold'>[] => {
  // A version may come twice, after a restore.
  for (const schema of due.schemas)
    memory.state('note', LOG_NUMBER, `schema/${schema.to_version}/${memory.at}`, {
      about: 'schema',
      facts: { ...schema },
    });
  const holds = [...stated];
  for (const { kind, id, organization_id, hold } of due.holds) {
    const number = kind === null || id === null ? LOG_NUMBER : memory.numberOf(kind, id, organization_id);
    holds.push({ type: 'hold', index: memory.size, at: memory.at, source: number, ...hold });
    memory.state('hold', number, `${hold.id}/${hold.action}`, hold);
  }
  for (const { id, facts } of due.archived)
    memory.state('note', LOG_NUMBER, `archive/${id}`, { about: 'archive', facts });
  // A drop names holds: these are stated before it.
  for (const drop of due.holds.length < MAX_HOLDS ? due.drops : []) stateDrop(memory, drop, holds);
  for (const { id, source, ...change } of due.changes) memory.state('change', source, String(id), change);
  return holds;
};

export const stateClock = (memory: LogInMemory, { ref, ...facts }: ClockFound): void =>
  memory.state('note', LOG_NUMBER, `clock/${ref}`, { about: 'clock', facts });

/** Brackets, commas, and two numbers below 2⁵³. */
const MAX_RANGE_BYTES = 36;

/** In as many statements as its ranges need. */
const stateDrop = (
  memory: LogInMemory,
  { id, drop, indexes, numbers }: DueDrop,
  holds: readonly StatementOf<'hold'>[],
) => {
  const fault = faultOfDrop(drop, numbers, holds);
  if (fault !== undefined) throw new EvidenceFault(`the drop of ${drop.month} at ${drop.dropped_at} ${fault}`);
  if (memory.at < drop.dropped_at) memory.at = drop.dropped_at;
  const empty = writeStatement(
    'drop',
    { index: memory.size, at: memory.at, source: 0 },
    { ...drop, indexes: [], events: 0 },
  );
  const most = Math.floor((MAX_STATEMENT_BYTES - Buffer.byteLength(empty) - 32) / MAX_RANGE_BYTES);
  for (let at = 0; at === 0 || at < indexes.length; at += most) {
    const some = indexes.slice(at, at + most).map(([from, to]): [number, number] => [from, to]);
    const events = some.reduce((sum, [from, to]) => sum + to - from, 0);
    memory.state('drop', LOG_NUMBER, `${id}/${at}`, { ...drop, indexes: some, events });
  }
};

const faultOfDrop = (
  { month, older_than, dropped_at }: DueDrop['drop'],
  numbers: ReadonlySet<number>,
  holds: readonly StatementOf<'hold'>[],
): string | undefined => {
  const times = timesOfMonth(month);
  const olderUs = microsecondsOf(older_than) ?? 0n;
  if (times === undefined || times[1] > olderUs || older_than > dropped_at)
    return `is not one of the retention: ${times ? rangeText(times) : 'what has no time'} is not older than ${older_than}`;
  const [held] = holdsAgainst(holds, { month, dropped_at }, numbers).whole;
  return held === undefined ? undefined : `is against hold ${held}`;
};

/** Coverage of one source and filter set, of the same snapshot as `head`. */
export interface CoverageSnapshot {
  readonly head: number;
  /** By the clock of the database: no range ends later. */
  readonly asOf: string;
  readonly sources: readonly CoveredSource[];
}

type Ranges = StatementOf<'coverage'>['read'];

export interface CoveredSource {
  readonly kind: string;
  readonly id: string;
  readonly number: number;
  readonly filterHash: string;
  readonly wantedSince: string | null;
  /** The horizon moves on with the clock. */
  readonly isRolling: boolean;
  readonly read: Ranges;
  readonly again: Ranges;
  readonly adopted: Ranges;
  /** Of earlier statements. */
  readonly windows: Ranges;
  /** The newest ones. */
  readonly holes: StatementOf<'coverage'>['holes'];
  readonly holeCount: number;
  /** Since the last statement of the source. */
  readonly rows: StatementOf<'coverage'>['rows'];
  /** The last statement with this filter; null before the first. */
  readonly before: string | null;
}
