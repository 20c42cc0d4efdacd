import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type HostileWorld, openHostileWorld } from '../../support/hostile/world.ts';
import { entryText } from '../../support/postgres/store-fixture.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';

let world: HostileWorld;
beforeAll(async () => {
  world = await openHostileWorld();
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
});

const page = (info: string, before = ''): Buffer =>
  Buffer.from(`{${before}"success":true,"result":[${entryText('one', Date.now() - 60_000)}],"result_info":${info}}`);

describe('invariant 9: an envelope that cannot be followed fails its walk, visibly, with nothing stored and nothing claimed', () => {
  test.each([
    ['a cursor with NUL', page('{"cursor":"a\\u0000b"}')],
    ['a cursor with half a character', page('{"cursor":"a\\ud800"}')],
    ['a cursor of 10 MB', page(`{"cursor":"${'c'.repeat(10_000_000)}"}`)],
    ['a cursor that is a number', page('{"cursor":1}')],
    ['a cursor in an array', page('{"cursor":["page-1"]}')],
    ['result_info in a text', page('"cursor"')],
    ['a result that is null, with a count', Buffer.from('{"success":true,"result":null,"result_info":{"count":"1"}}')],
    ['a result under __proto__', Buffer.from('{"__proto__":{"result":[{"id":"a"}]},"success":true}')],
    ['two bodies', Buffer.concat([page('{}'), page('{}')])],
    ['a comma behind the last element', Buffer.from('{"success":true,"result":[{"id":"a"},]}')],
    ['an array', Buffer.from('[{"id":"a"}]')],
    ['UTF-16', Buffer.from('\ufeff{"success":true,"result":[{"id":"a"}]}', 'utf16le')],
    ['a NUL behind the end', Buffer.concat([page('{}'), Buffer.of(0)])],
    ['two byte order marks', Buffer.concat([Buffer.from('\ufeff\ufeff'), page('{}')])],
    ['nothing', Buffer.of()],
  ])('%s', async (name, body) => {
    await world.addSources([name]);
    world.serve(name, [body]);
    expect(await world.sync(name)).toMatchObject({ kind: 'failed', lasting: false });
    expect(await failuresOf(name)).toMatchObject(nothing);
  });

  test.each([
    ['a cursor under __proto__ is none', page('{"__proto__":{"cursor":"page-1"}}')],
    ['unknown members', page('{"cursor":"","cursors":{"after":""},"more":[1]}', '"__proto__":{"success":false},')],
    ['a byte order mark', Buffer.concat([Buffer.from('\ufeff'), page('{}')])],
    ['100,000 levels beside the result', page('{}', `"messages":${'['.repeat(100_000)}${']'.repeat(100_000)},`)],
    ['a success that comes twice', page('{}', '"success":false,')],
  ])('but %s', async (name, body) => {
    await world.addSources([name]);
    world.serve(name, [body]);
    expect(await world.sync(name)).toMatchObject({ kind: 'idle' });
    expect(await failuresOf(name)).toMatchObject({ failures: 0, pages: 0, events: 1, claimed: true });
    expect(world.requests(name)).toBe(1);
  });
});

const random = seededRandom(7);
/** Of so many different characters that PostgreSQL cannot compress it to what an index takes. */
const longText = (length: number): string =>
  Array.from({ length }, () => String.fromCodePoint(0x21 + Math.floor(random() * 90))).join('');

test.each([
  ['resource_id', 'resource', 'id'],
  ['resource_type', 'resource', 'type'],
  ['actor_id', 'actor', 'id'],
  ['actor_email', 'actor', 'email'],
  ['actor_ip_address', 'actor', 'ip_address'],
  ['actor_token_id', 'actor', 'token_id'],
  ['action_type', 'action', 'type'],
])(
  '%s that no index takes: the column has its beginning, the entry is exact, and its neighbour is stored',
  async (column, part, name) => {
    const value = longText(4_000);
    const time = { time: '2026-10-01T12:00:00Z' };
    const parts = { action: time, [part]: { ...(part === 'action' && time), [name]: value } };
    const text = JSON.stringify({ id: 'long', ...parts });
    await world.addSources([column]);
    world.serve(column, [Buffer.from(`{"success":true,"result":[${text},${entryText('neighbour')}]}`)]);
    expect(await world.sync(column)).toMatchObject({ kind: 'idle' });
    const { rows } = await world.database.pool.query<{ id: string; raw: string; value: string; defects: string[] }>(
      `select id, raw::text as raw, ${column} as value, defects from audit_events where source_id = $1 order by position`,
      [column],
    );
    expect(rows.map(({ id }) => id)).toEqual(['long', 'neighbour']);
    expect(rows[0]?.raw === text, 'the exact text').toBe(true);
    expect(rows[0]?.defects).toEqual(['column_too_long']);
    expect(value.startsWith(rows[0]?.value ?? '-')).toBe(true);
    expect(rows[0]?.value.length).toBe(600);
    expect(rows[1]?.defects).toBeNull();
  },
);

const failuresOf = async (id: string) => {
  const { rows } = await world.database.pool.query(
    `select failures, last_failure, last_error, coalesce((state #>> '{walk,pages}')::integer, 0) as pages,
       (select count(*)::integer from audit_events where source_id = $1) as events,
       exists (select from coverage where source_id = $1 and not isempty(ranges)) as claimed
     from lanes where source_id = $1`,
    [id],
  );
  return rows[0];
};

const nothing = { failures: 1, last_failure: 'unreadable', pages: 0, events: 0, claimed: false };
