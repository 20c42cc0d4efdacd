import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Filter } from '../../../../src/ingest/planning/filters.ts';
import { splitsOfSecond } from '../../../../src/ingest/planning/filters.ts';
import { forAll } from '../../for-all.ts';

const entry: fc.Arbitrary<Entry> = fc.record({
  action_type: fc.constantFrom('create', 'update', 'delete', 'view', 'login', 'purge', ''),
  actor_type: fc.constantFrom('user', 'account', 'cloudflare_admin', 'system', 'delegated_service', 'robot', ''),
  resource_type: fc.oneof(fc.constantFrom('zone', 'dns_records', 'member'), fc.string()),
});

test('splitsOfSecond every entry is in exactly one part of each split, whatever its values are (invariant 9)', () => {
  const types = fc.uniqueArray(fc.oneof(fc.constantFrom('zone', 'member'), fc.string({ minLength: 1 })), {
    maxLength: 30,
  });
  forAll([entry, types], 500, (each, resourceTypes) => {
    const splits = splitsOfSecond([], resourceTypes);
    expect(splits).toHaveLength(resourceTypes.length > 0 ? 3 : 2);
    for (const parts of splits) expect(parts.filter((filters) => matches(each, filters))).toHaveLength(1);
  });
});

test('splitsOfSecond goes by the kind of action first, then by who, then by what', () => {
  const fields = splitsOfSecond([], ['zone']).map((parts) => new Set(parts.flat().map(([name]) => name)));
  expect(fields).toEqual([
    new Set(['action_type', 'action_type.not']),
    new Set(['actor_type', 'actor_type.not']),
    new Set(['resource_type', 'resource_type.not']),
  ]);
});

test('splitsOfSecond leaves out what the configured filters use: another value of it would be an alternative', () => {
  const configured: readonly Filter[] = [
    ['action_type.not', 'view'],
    ['resource_type', 'zone'],
  ];
  const names = splitsOfSecond(configured, ['zone'])
    .flat(2)
    .map(([name]) => name);
  expect(new Set(names)).toEqual(new Set(['actor_type', 'actor_type.not']));
});

test('splitsOfSecond asks for no more than twenty kinds of resources by themselves', () => {
  const many = Array.from({ length: 500 }, (_, n) => `kind ${n}`);
  expect(splitsOfSecond([], many).at(-1)).toHaveLength(21);
});

type Entry = Readonly<Record<'action_type' | 'actor_type' | 'resource_type', string>>;

/** As the API documents them: repeated names are alternatives, of `.not` none may match. */
const matches = (entry: Entry, filters: readonly Filter[]): boolean => {
  const values = new Map<string, string[]>();
  for (const [name, value] of filters) values.set(name, [...(values.get(name) ?? []), value]);
  return [...values].every(([name, wanted]) => {
    const field = name.replace(/\.not$/, '') as keyof Entry;
    return wanted.includes(entry[field]) !== name.endsWith('.not');
  });
};
