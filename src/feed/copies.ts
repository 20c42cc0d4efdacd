/** An entry about a user's own profile stands in the log of every account that the user may use: `first` leaves all copies out but one. */
export type Copies = 'all' | 'first';
export const copiesChoices = ['all', 'first'] as const satisfies readonly Copies[];

/** As in drizzle/0025_copies.sql, and in the predicate of the index audit_events_user_copies. */
const aboutUser = (row: string): string =>
  `${row}.source_kind = 'account' and ${row}.resource_scope in ('user', 'memberships')`;

/** SQL: all copies of an event of `audit_events e` that is about a user, `e` itself included, as rows `f`. */
export const copiesOf = (e: string, f: string): string =>
  `${aboutUser(f)} and ${f}.id = ${e}.id and ${f}.action_time = ${e}.action_time`;

/** SQL: whether an event may have copies. An entry without a time that can be read has none. */
export const mayHaveCopies = (e: string): string => `${aboutUser(e)} and ${e}.action_time > '-infinity'`;

/** SQL: whether a row with the source, id and time of an event has a copy that is wanted, itself included. */
export const hasCopy = (e: string, wanted: (row: string) => string): string =>
  `${e}.source_kind = 'account' and exists (select from audit_events f where ${copiesOf(e, 'f')} and ${wanted('f')})`;

/**
 * SQL: whether a row `e` of `audit_events` is no copy of one with a lower position that a reader gets as well. `wanted` is the
 * condition that this one meets. What a position is given to is settled, so the answer for a row is always the same.
 */
export const isFirstCopy = (e: string, wanted: (row: string) => string): string =>
  `case when ${mayHaveCopies(e)} then not exists (select from audit_events f
     where ${copiesOf(e, 'f')} and f.position < ${e}.position and ${wanted('f')}) else true end`;
