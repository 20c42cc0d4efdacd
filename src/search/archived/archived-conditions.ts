import { type Actor, actorPrefixOf, readActor } from '../conditions/actor.ts';
import type { EventQuery } from '../conditions/event-query.ts';
import { type PlainCondition, plainConditions } from '../terms/plain-conditions.sql.ts';
import type { TermField } from '../terms/terms.ts';
import { type ArchivedColumn, archivedColumnNames } from './archived-columns.ts';

/** One of the conditions that an archived event must meet: that of the search itself, in SQL. */
export interface ArchivedCondition {
  /** Of `audit_events`. Its parameters begin with $2: $1 is for the rows. */
  readonly sql: string;
  readonly values: readonly unknown[];
  /** Those that it looks at. */
  readonly columns: readonly ArchivedColumn[];
  /** It is true only if a column has exactly this value. */
  readonly exactly?: { readonly column: ArchivedColumn; readonly value: string };
  /** It is true only if one of its columns contains one of these, whatever the case of letters. */
  readonly contains?: readonly string[] | undefined;
  /** It is whether the entry's own text contains one of these; negated: whether it contains none. */
  readonly texts?: { readonly values: readonly string[]; readonly isNegated: boolean };
}

/** The conditions of a search but those of time and of changes: those that look at the whole text come last. */
export const archivedConditions = (query: EventQuery): readonly ArchivedCondition[] => {
  const { since: _since, before: _before, untilPosition: _until, spellings: _spellings, changed: _, ...rest } = query;
  const all: unknown[] = [];
  const found = plainConditions({ ...rest, changed: false }, (value) => `$${all.push(value)}`);
  const conditions = found.map((condition): ArchivedCondition => {
    const { field, sql, term } = condition;
    const values: unknown[] = [];
    // Each is a statement of its own.
    const own = sql.replace(/\$(\d+)/g, (_match, n) => `$${values.push(all[Number(n) - 1]) + 1}`);
    const exact = isOfActorId(condition, query) ? 'actor_id' : exactColumns[field as keyof typeof exactColumns];
    return {
      sql: own,
      values,
      columns: archivedColumnNames.filter((name) => new RegExp(`\\b${name}\\b`).test(sql)),
      contains: containedTexts(condition, query),
      ...(exact !== undefined && { exactly: { column: exact, value: String(values[0]) } }),
      ...(field === 'text' && { texts: { values: [query.text ?? ''], isNegated: false } }),
      ...(term?.field === 'text' && { texts: term }),
    };
  });
  const cost = ({ texts, columns }: ArchivedCondition) => (texts === undefined ? columns.length : 100);
  return conditions.sort((a, b) => cost(a) - cost(b));
};

/** As `filterConditions` says them: an equality, and nothing else. */
const exactColumns = {
  organization: 'organization_id',
  account: 'account_id',
  resource: 'resource_id',
  ray: 'raw_cf_ray_id',
} as const;

const isOfActorId = ({ field }: PlainCondition, { actor }: EventQuery): boolean =>
  field === 'actor' && actor?.kind === 'id' && actorPrefixOf(actor.value) === undefined;

/** Terms of these fields are equalities and beginnings of texts. */
const namedFields: ReadonlySet<TermField> = new Set(['email', 'token', 'actor_id', 'resource', 'ray', 'id']);

const containedTexts = ({ field, term }: PlainCondition, { actor }: EventQuery): readonly string[] | undefined => {
  if (field === 'actor' && actor !== undefined) return textsOfActors([actor]);
  if (term === undefined || term.isNegated) return undefined;
  if (term.field === 'actor') return textsOfActors(term.values.map(readActor));
  return namedFields.has(term.field) ? term.values.map(withoutStar) : undefined;
};

/** Addresses may be networks, or be written otherwise. */
const textsOfActors = (actors: readonly Actor[]): readonly string[] | undefined =>
  actors.some(({ kind }) => kind === 'ip') ? undefined : actors.map(({ value }) => withoutStar(value));

const withoutStar = (value: string): string => actorPrefixOf(value) ?? value;
