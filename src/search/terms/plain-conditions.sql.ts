import { type Enumeration, type EventQuery, enumerations } from '../conditions/event-query.ts';
import { type AddParameter, type FilterCondition, filterConditions } from '../conditions/filter-conditions.sql.ts';
import { actorParts, spelledExactly, termCondition } from './term-conditions.sql.ts';
import type { Term } from './terms.ts';

/** One condition of a search. */
export interface PlainCondition extends FilterCondition {
  /** If it is one of a query line: its term. */
  readonly term?: Term;
}

/** The conditions of a search but those of time, in all spellings without looking them up: they hold of any table with these columns. */
export const plainConditions = (
  query: Omit<EventQuery, 'since' | 'before' | 'untilPosition' | 'spellings'>,
  parameter: AddParameter,
): readonly PlainCondition[] => {
  const { actor, terms = [], action, result, product, resourceType, ...plain } = query;
  const fields = { action, result, product, resource_type: resourceType };
  const columns: Readonly<Record<keyof typeof fields, Enumeration>> = {
    action: 'action',
    result: 'result',
    product: 'product',
    resource_type: 'resourceType',
  };
  const spelled = (Object.keys(fields) as (keyof typeof fields)[]).flatMap((field) => {
    const value = fields[field];
    return value === undefined ? [] : [{ field, sql: spelledExactly(enumerations[columns[field]])(value, parameter) }];
  });
  return [
    ...filterConditions({ ...plain, since: undefined, before: undefined }, parameter),
    ...(actor === undefined ? [] : [{ field: 'actor' as const, sql: actorParts(actor, parameter) }]),
    ...spelled,
    ...terms.map((term) => ({ field: 'q' as const, sql: termCondition(term, parameter), term })),
  ];
};
