import { dropParts, gapsOf, type PassRanges, statedRanges } from '../journal/ranges.ts';
import type { StatedTree, Statement, StatementOf } from '../journal/statement.ts';
import { MAX_STATEMENT_BYTES, readStatement, writeStatement } from '../journal/statement-text.ts';
import type { SourceChain } from '../leaf.ts';

/** `ref`: what it is about; a thing is stated once. */
export interface NewEntry {
  readonly kind: Statement['type'];
  readonly ref: string;
  readonly text: string;
}

/** By the clock of the database, with the tree of `events`. */
export interface Moment {
  readonly at: string;
  readonly tree: StatedTree;
}

type Fields<T extends Statement['type']> = Omit<StatementOf<T>, 'type' | 'at' | 'tree'>;

export type ClockFound = Fields<'clock'> & { readonly ref: string };

export interface DueFacts {
  readonly drops: readonly (Omit<Fields<'drop'>, 'positions' | 'part' | 'parts'> & {
    readonly id: number;
    readonly positions: readonly (readonly [number, number])[];
  })[];
  readonly jumps: readonly Fields<'jump'>[];
  readonly holds: readonly Fields<'hold'>[];
  readonly changes: readonly (Fields<'change'> & { readonly id: number })[];
  readonly timestamps: readonly Fields<'timestamp'>[];
  readonly archived: readonly Fields<'archive'>[];
  /** Migrations since the last statement: the tree is the same before and after them. */
  readonly schemas: readonly Pick<Fields<'schema'>, 'from_version' | 'to_version'>[];
}

/** More are read with the next step. */
export const MAX_HOLDS = 100;

/** In the order in which they are stated. */
export const dueEntries = (due: DueFacts, moment: Moment): NewEntry[] => [
  ...due.schemas.map((schema) => schemaEntry(schema, moment)),
  ...due.jumps.map((jump) => newEntry(String(jump.id), { type: 'jump', ...moment, ...jump })),
  ...due.holds.map((hold) => newEntry(`${hold.id}/${hold.action}`, { type: 'hold', ...moment, ...hold })),
  ...due.archived.map((object) => newEntry(String(object.id), { type: 'archive', ...moment, ...object })),
  // A drop names holds: these are stated before it.
  ...(due.holds.length < MAX_HOLDS ? due.drops : []).flatMap(({ id, positions, ...drop }) =>
    dropParts({ type: 'drop', ...moment, ...drop }, positions).map((part) => newEntry(`${id}/${part.part}`, part)),
  ),
  ...due.changes.map(({ id, ...change }) => newEntry(String(id), { type: 'change', ...moment, ...change })),
  ...due.timestamps.map((stamp) =>
    newEntry(`${stamp.anchor}/${stamp.checkpoint.size}`, { type: 'timestamp', ...moment, ...stamp }),
  ),
];

/** A version may come twice, after a restore. */
const schemaEntry = (schema: DueFacts['schemas'][number], { at, tree }: Moment): NewEntry =>
  newEntry(`${schema.to_version}/${at}`, {
    type: 'schema',
    at,
    tree,
    ...schema,
    size_before: tree.size,
    size_after: tree.size,
  });

export const clockEntry = ({ ref, ...found }: ClockFound, moment: Moment): NewEntry =>
  newEntry(ref, { type: 'clock', ...moment, ...found });

export const sourceEntry = (source: Fields<'source'>, moment: Moment): NewEntry =>
  newEntry(`${source.kind}/${source.id}`, { type: 'source', ...moment, ...source });

/** `ref`: what the statement is about; `1` for what is stated once. */
export const newEntry = (ref: string, statement: Statement): NewEntry => ({
  kind: statement.type,
  ref,
  text: writeStatement(statement),
});

type Coverage = StatementOf<'coverage'>;

interface CoveredSource {
  readonly kind: string;
  readonly id: string;
  readonly filterHash: string;
  readonly wantedSince: string | null;
  readonly commits: number;
  /** Before the moment of the snapshot. */
  readonly passes: readonly PassRanges[];
  /** The newest ones. */
  readonly holes: NonNullable<Coverage['holes']>;
  readonly holeCount: number;
  readonly readings: NonNullable<Coverage['readings']>;
  readonly readingCount: number;
  /** A day or more after the first time. */
  readonly readAgain: NonNullable<Coverage['read_again']>;
  readonly reads: NonNullable<Coverage['reads']>;
  /** Of the last statement with this filter; null before the first. */
  readonly before: string | null;
}

/** All that the ranges hold is at or below `head`, which is of the same snapshot. */
export interface CoverageSnapshot {
  readonly head: number;
  /** By the clock of the database. */
  readonly asOf: string;
  /** Cloudflare's clock. */
  readonly serverTime: string | null;
  readonly sources: readonly CoveredSource[];
}

type FilterTexts = ReadonlyMap<string, string>;

/** `moment` and `chainOf` must be of exactly as many leaves as the head of the snapshot. */
export const coverageEntries = (
  { asOf, serverTime, sources }: CoverageSnapshot,
  moment: Moment,
  chainOf: (kind: string, id: string) => SourceChain,
  filters: FilterTexts,
): NewEntry[] =>
  sources.map((source) => {
    const { events, chain } = chainOf(source.kind, source.id);
    const { passes, leftOut } = statedRanges(source.passes, rangesOf(source.before));
    const text = fitted(source, leftOut, asOf, {
      type: 'coverage',
      ...moment,
      source_kind: source.kind,
      source_id: source.id,
      filter: { text: filters.get(source.filterHash) ?? '', hash: source.filterHash },
      wanted_since: source.wantedSince,
      passes,
      events,
      chain: Buffer.from(chain).toString('hex'),
      commits: source.commits,
      server_time: serverTime,
      reads: source.reads,
    });
    return { kind: 'coverage', ref: `${source.kind}/${source.id}/${asOf}`, text };
  });

/** Less is read than was stated last: until a clock that went back has caught up. Stated, it would look like lost coverage. */
export const isShrunk = ({ passes, before }: CoveredSource): boolean => {
  const ranges = passes.flatMap((pass) => pass.ranges);
  return rangesOf(before).some((pass) => pass.ranges.some((range) => gapsOf(ranges, range).length > 0));
};

/** Holes and readings are left out as needed, ranges never. */
const fitted = (source: CoveredSource, rangesLeftOut: number, asOf: string, coverage: Coverage): string => {
  for (let share = 1; ; share /= 2) {
    const holes = source.holes.slice(0, Math.floor(source.holes.length * share));
    const skipped = Math.ceil(source.readings.length * (1 - share));
    const readings = source.readings.slice(skipped);
    const leftOut = {
      ranges: rangesLeftOut,
      holes: source.holeCount - holes.length,
      readings: source.readingCount - readings.length,
    };
    const readAgain = source.readAgain.slice(Math.ceil(source.readAgain.length * (1 - share)));
    const whole = { ...coverage, as_of: asOf, holes, readings, left_out: leftOut, read_again: readAgain };
    const isLast = holes.length + readings.length + readAgain.length === 0;
    if (isLast || Buffer.byteLength(JSON.stringify(whole)) <= MAX_STATEMENT_BYTES) return writeStatement(whole);
  }
};

const rangesOf = (text: string | null): readonly PassRanges[] => {
  const read = text === null ? undefined : readStatement(text);
  return read?.known === true && read.statement.type === 'coverage' ? read.statement.passes : [];
};
