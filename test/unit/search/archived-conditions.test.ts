import { expect, test } from 'vitest';
import { archivedConditions } from '../../../src/search/archived/archived-conditions.ts';
import type { Actor } from '../../../src/search/conditions/actor.ts';
import type { EventQuery } from '../../../src/search/conditions/event-query.ts';
import type { Term } from '../../../src/search/terms/terms.ts';

const conditionOf = (query: Partial<EventQuery>) => {
  const [condition, ...others] = archivedConditions({
    since: undefined,
    before: undefined,
    defects: false,
    changed: false,
    ...query,
  });
  expect(others).toEqual([]);
  return condition;
};
const term = (field: Term['field'], values: string[], isNegated = false) => ({ terms: [{ field, isNegated, values }] });
const actor = (kind: Actor['kind'], value: string) => ({ actor: { kind, value } });

test.each<[Partial<EventQuery>, readonly string[]]>([
  [actor('email', 'Mira@Example.com'), ['Mira@Example.com']],
  [actor('any', 'mira*'), ['mira']],
  [actor('token', 'ci-1'), ['ci-1']],
  [term('actor', ['mira*', 'id:abc']), ['mira', 'abc']],
  [term('email', ['a@example.com', 'b*']), ['a@example.com', 'b']],
  [term('resource', ['r1*']), ['r1']],
])('of %j only values that contain one of these can meet it', (query, texts) => {
  expect(conditionOf(query)?.contains).toEqual(texts);
});

test.each<Partial<EventQuery>>([
  actor('ip', '198.51.100.0/24'),
  term('actor', ['mira*', '198.51.100.7']),
  term('email', ['a@example.com'], true),
  term('actor', ['mira*'], true),
  term('uri', ['*zones*']),
  term('action', ['create']),
])('of %j any value may meet it', (query) => {
  expect(conditionOf(query)?.contains).toBeUndefined();
});

test('an id of an actor is looked for as it is, a beginning of one is not', () => {
  expect(conditionOf(actor('id', 'abc'))?.exactly).toEqual({ column: 'actor_id', value: 'abc' });
  expect(conditionOf(actor('id', 'abc*'))).toMatchObject({ contains: ['abc'] });
  expect(conditionOf(actor('id', 'abc*'))?.exactly).toBeUndefined();
});
