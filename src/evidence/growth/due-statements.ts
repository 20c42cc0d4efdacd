import { dropParts } from '../journal/drop-parts.ts';
import type { StatedTree } from '../journal/fields.ts';
import type { Statement, StatementOf } from '../journal/statement.ts';
import { writeStatement } from '../journal/statement-text.ts';

/** A statement that is to be appended, and what it is about: a thing is stated once. */
export interface NewEntry {
  readonly kind: Statement['type'];
  readonly ref: string;
  readonly text: string;
}

/** When it is stated, by the clock of the database, and the tree of `events` at that moment. */
export interface Moment {
  readonly at: string;
  readonly tree: StatedTree;
}

type Fields<T extends Statement['type']> = Omit<StatementOf<T>, 'type' | 'at' | 'tree'>;

/** What has happened in the database and is not stated yet. */
export interface DueFacts {
  readonly drops: readonly (Omit<Fields<'drop'>, 'positions' | 'part' | 'parts'> & {
    readonly id: number;
    /** When it was dropped: then the holds and the retention counted that it is held against, however late it is stated. */
    readonly at: string;
    readonly positions: readonly (readonly [number, number])[];
  })[];
  readonly jumps: readonly Fields<'jump'>[];
  readonly holds: readonly Fields<'hold'>[];
  readonly changes: readonly (Fields<'change'> & { readonly id: number })[];
}

/** The statements about what has happened, in the order in which a reader understands them. */
export const dueEntries = ({ drops, jumps, holds, changes }: DueFacts, moment: Moment): NewEntry[] => [
  ...jumps.map((jump) => entry(String(jump.id), { type: 'jump', ...moment, ...jump })),
  ...holds.map((hold) => entry(`${hold.id}/${hold.action}`, { type: 'hold', ...moment, ...hold })),
  ...drops.flatMap(({ id, positions, ...drop }) =>
    dropParts({ type: 'drop', ...moment, ...drop }, positions).map((part) => entry(`${id}/${part.part}`, part)),
  ),
  ...changes.map(({ id, ...change }) => entry(String(id), { type: 'change', ...moment, ...change })),
];

export const genesisEntry = (genesis: Fields<'genesis'>, moment: Moment): NewEntry =>
  entry('1', { type: 'genesis', ...moment, ...genesis });

export const forkEntry = (fork: Fields<'fork'>, moment: Moment): NewEntry =>
  entry('1', { type: 'fork', ...moment, ...fork });

export const endEntry = (end: Fields<'end'>, moment: Moment): NewEntry =>
  entry('1', { type: 'end', ...moment, ...end });

export const sourceEntry = (source: Fields<'source'>, moment: Moment): NewEntry =>
  entry(`${source.kind}/${source.id}`, { type: 'source', ...moment, ...source });

const entry = (ref: string, statement: Statement): NewEntry => ({
  kind: statement.type,
  ref,
  text: writeStatement(statement),
});
