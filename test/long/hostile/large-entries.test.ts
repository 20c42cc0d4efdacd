import { describe, expect, test } from 'vitest';
import { HORIZON_MS, openHostileWorld } from '../../support/hostile/world.ts';
import { entryText } from '../../support/postgres/store-fixture.ts';
import { ofAllTests } from '../../support/process/of-tests.ts';

const world = ofAllTests(openHostileWorld);
const MB = 1_000_000;
const entry = (value: string): string => `{"id":"large","action":{"time":"2026-10-01T12:00:00Z"},"n":${value}}`;

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
    expect(await world.sync(name)).toMatchObject({ kind: 'idle' });
    const [large, neighbour] = await storedOf(name);
    expect(large?.defects).toEqual(defects);
    const raw = defects?.includes('nested_too_deeply') ? JSON.stringify(text) : text;
    expect(large?.raw === raw, 'the exact text').toBe(true);
    expect(neighbour).toEqual({ raw: entryText('neighbour'), defects: null });
  });

  test('larger than a response may be, whatever the page size: its window is halved again and again, and nothing of it is claimed', async () => {
    await world.addSources(['too large', 'other']);
    world.serve('too large', [page([entry(`"${'x'.repeat(68 * MB)}"`)])]);
    world.serve('other', [page([entryText('other')])]);
    const widths: number[] = [HORIZON_MS];
    for (const halvings of [1, 2, 3]) {
      expect(await world.sync('too large')).toEqual({ kind: 'narrowed' });
      const { width_ms: width, failures, ...lane } = await laneOf('too large');
      expect(lane).toEqual({ page_limit: 16, claimed: false, events: 0 });
      // 1,000 entries a page, 125 and 16; the others go on from there.
      expect([failures, world.requests('too large')]).toEqual([2 + halvings, 2 + halvings]);
      expect(width).toBeLessThanOrEqual((widths.at(-1) ?? 0) / 2 + 1_000);
      widths.push(width);
    }
    expect(await world.sync('other')).toMatchObject({ kind: 'idle' });
  });
});

const page = (texts: readonly string[]): Buffer => Buffer.from(`{"success":true,"result":[${texts.join(',')}]}`);

const storedOf = async (id: string) => {
  const { rows } = await world.database.pool.query<{ raw: string; defects: string[] | null }>(
    'select raw::text as raw, defects from audit_events where source_id = $1 order by position',
    [id],
  );
  return rows;
};

const laneOf = async (id: string) => {
  const { rows } = await world.database.pool.query(
    `select failures, (state ->> 'pageLimit')::integer as page_limit, (state ->> 'widthMs')::float8 as width_ms,
       exists (select from coverage where source_id = $1 and not isempty(ranges)) as claimed,
       (select count(*)::integer from audit_events where source_id = $1) as events
     from lanes where source_id = $1 and lane = 'live'`,
    [id],
  );
  return rows[0];
};
