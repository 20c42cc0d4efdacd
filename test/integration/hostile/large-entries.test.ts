import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type HostileWorld, openHostileWorld } from '../../support/hostile/world.ts';
import { entryText } from '../../support/store-fixture.ts';

let world: HostileWorld;
beforeAll(async () => {
  world = await openHostileWorld();
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
});

const MB = 1_000_000;
const page = (texts: readonly string[]): Buffer => Buffer.from(`{"success":true,"result":[${texts.join(',')}]}`);
const entry = (value: string): string => `{"id":"large","action":{"time":"2026-10-01T12:00:00Z"},"n":${value}}`;

const storedOf = async (id: string) => {
  const { rows } = await world.database.pool.query<{ raw: string; defects: string[] | null }>(
    'select raw::text as raw, defects from audit_events where source_id = $1 order by position',
    [id],
  );
  return rows;
};

const failureOf = async (id: string) => {
  const { rows } = await world.database.pool.query(
    `select failures, last_failure, exists (select from coverage where source_id = $1) as claimed,
       (select count(*)::integer from audit_events where source_id = $1) as events from sources where id = $1`,
    [id],
  );
  return rows[0];
};

describe('large entries', () => {
  test.each([
    ['a text', entry(`"${'é\\n'.repeat(2.5 * MB)}"`), null],
    ['a text of NUL', entry(`"${'\\u0000'.repeat(1.7 * MB)}"`), ['nul_character']],
    ['levels', entry('['.repeat(5 * MB) + ']'.repeat(5 * MB)), ['nested_too_deeply']],
    ['an id', `{"id":"${'x'.repeat(10 * MB)}"}`, ['id_too_long', 'time_missing']],
    ['digits', entry('9'.repeat(10 * MB)), ['number_out_of_range']],
  ])('10 MB: %s', async (name, text, defects) => {
    await world.addSources([name]);
    world.serve(name, [page([text, entryText('neighbour')])]);
    expect(await world.sync(name)).toEqual({ kind: 'idle' });
    const [large, neighbour] = await storedOf(name);
    expect(large?.defects).toEqual(defects);
    const raw = defects?.includes('nested_too_deeply') ? JSON.stringify(text) : text;
    expect(large?.raw === raw, 'the exact text').toBe(true);
    expect(neighbour).toEqual({ raw: entryText('neighbour'), defects: null });
  });

  test('so many members that jsonb has no memory for them: kept as text, its neighbour unaffected', async () => {
    const text = entry(`{${'"":0,'.repeat(8.5 * MB)}"":0}`);
    await world.addSources(['members']);
    world.serve('members', [page([text, entryText('neighbour')])]);
    expect(await world.sync('members')).toEqual({ kind: 'idle' });
    const [large, neighbour] = await storedOf('members');
    expect(large?.defects).toEqual(['refused_by_database']);
    expect(large?.raw === JSON.stringify(text), 'the exact text').toBe(true);
    expect(neighbour).toEqual({ raw: entryText('neighbour'), defects: null });
  });

  test('larger than a response may be, whatever the page size: the source shows as failing, nothing of it is claimed', async () => {
    await world.addSources(['too large', 'other']);
    world.serve('too large', [page([entry(`"${'x'.repeat(68 * MB)}"`)])]);
    world.serve('other', [page([entryText('other')])]);
    for (const failures of [1, 2]) {
      expect(await world.sync('too large')).toMatchObject({ kind: 'failed', lasting: false });
      expect(await failureOf('too large')).toEqual({
        failures,
        last_failure: 'too_large',
        claimed: false,
        events: 0,
      });
    }
    // From 1,000 entries a page down to one; the second attempt goes on from there.
    expect(world.requests('too large')).toBe(7);
    expect(await world.sync('other')).toEqual({ kind: 'idle' });
  });
});
