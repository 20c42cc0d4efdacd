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

/** The clock of the database is not the one that it was. */
export type ClockFound = Fields<'clock'> & { readonly ref: string };

/** What has happened in the database and is not stated yet. */
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

/** The statements about what has happened, in the order in which a reader understands them. */
/** More are read with the next step. */
export const MAX_HOLDS = 100;

/** In the order in which they are stated. */
export const dueEntries = (due: DueFacts, moment: Moment): NewEntry[] => [
  ...due.schemas.map((schema) => schemaEntry(schema, moment)),
  ...due.jumps.map((jump) => entry(String(jump.id), { type: 'jump', ...moment, ...jump })),
  ...due.holds.map((hold) => entry(`${hold.id}/${hold.action}`, { type: 'hold', ...moment, ...hold })),
  ...due.archived.map((object) => entry(String(object.id), { type: 'archive', ...moment, ...object })),
  // A drop names holds: these are stated before it.
  ...(due.holds.length < MAX_HOLDS ? due.drops : []).flatMap(({ id, positions, ...drop }) =>
    dropParts({ type: 'drop', ...moment, ...drop }, positions).map((part) => entry(`${id}/${part.part}`, part)),
  ),
  ...due.changes.map(({ id, ...change }) => entry(String(id), { type: 'change', ...moment, ...change })),
  ...due.timestamps.map((stamp) =>
    entry(`${stamp.anchor}/${stamp.checkpoint.size}`, { type: 'timestamp', ...moment, ...stamp }),
  ),
];

/** A version may come twice, after a restore. */
const schemaEntry = (schema: DueFacts['schemas'][number], { at, tree }: Moment): NewEntry =>
  entry(`${schema.to_version}/${at}`, {
    type: 'schema',
    at,
    tree,
    ...schema,
    size_before: tree.size,
    size_after: tree.size,
  });

export const genesisEntry = (genesis: Fields<'genesis'>, moment: Moment): NewEntry =>
  entry('1', { type: 'genesis', ...moment, ...genesis });

export const forkEntry = (fork: Fields<'fork'>, moment: Moment): NewEntry =>
  entry('1', { type: 'fork', ...moment, ...fork });

export const endEntry = (end: Fields<'end'>, moment: Moment): NewEntry =>
  entry('1', { type: 'end', ...moment, ...end });

/** `ref`: what was found, so that it is stated once. */
export const clockEntry = ({ ref, ...found }: ClockFound, moment: Moment): NewEntry =>
  entry(ref, { type: 'clock', ...moment, ...found });

/** `id`: of the order. */
export const keyEntry = (id: number, moment: Moment, key: Fields<'key'>): NewEntry =>
  entry(String(id), { type: 'key', ...moment, ...key });

export const sourceEntry = (source: Fields<'source'>, moment: Moment): NewEntry =>
  entry(`${source.kind}/${source.id}`, { type: 'source', ...moment, ...source });

const entry = (ref: string, statement: Statement): NewEntry => ({
  kind: statement.type,
  ref,
  text: writeStatement(statement),
});
