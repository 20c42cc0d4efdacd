import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from 'vitest';
import { createLogin } from '../../support/accounts/login.ts';
import { poolOfWorld } from '../../support/postgres/pool-of-tests.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { serve } from '../../support/sync/served.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

/** Columns of events of the test, with what is hard to quote. */
const hostile = `'"; drop table x; --\\ $(touch /tmp/x) \`id\` $1 $2 \u202e\u0007 %_*`;
const marks: Readonly<Record<string, string>> = {
  resource_id: `${hostile} id`,
  raw_cf_ray_id: '-ray-*',
  actor_token_name: `Token ${hostile}`,
  actor_ip_address: '2001:db8::25',
  actor_email: "O'Hara+x@Example.net",
  resource_product: 'Pro*',
  raw_user_agent: `agent ${hostile}`,
  raw_uri: '/zones/a%20b?c=d&e={f}[1-3]',
  zone_name: 'Zone.Example',
  zone_id: 'zone-of-it',
  actor_type: 'User',
  actor_context: 'dash',
};

const world = forAllTests(() => openWorld({ organizations: 3, entries: 200 }));
const pool = poolOfWorld(world);
const run = forAllTests(() => world.open());
const served = forAllTests(() => serve(run));
/** Of an account that may read, and nothing else. */
const reader = forAllTests(() => createLogin(world.database, ['orgtrail_reader']));
beforeAll(async () => {
  await run.cycle();
  const set = Object.keys(marks).map((column, n) => `${column} = $${n + 1}`);
  await pool.query(
    `update audit_events set ${set.join(', ')} where position in (select position from audit_events order by position limit 7)`,
    Object.values(marks),
  );
  await pool.query(
    "update audit_events set action_type = 'DELETE', actor_email = upper(actor_email) where position % 5 = 0",
  );
  await pool.query("update audit_events set defects = '{raw.status_code}' where position % 11 = 0");
  await pool.query("update audit_events set resource_product = 'pro-other' where position = 9");
});

const of = (column: string): string => encodeURIComponent(marks[column] ?? '');
const line = (text: string): string => `q=${encodeURIComponent(text)}`;
const quoted = (text = ''): string => `"${text.replace(/["\\]/g, '\\$&')}"`;

const searches: readonly (readonly [query: string, least: number])[] = [
  ['', 200],
  ['since=24h', 0],
  ['since=90d&before=now', 1],
  ['since=2026-01-01&before=2026-12-31T08:00:00.123456Z', 0],
  ['action=delete', 40],
  ['action=delete&result=success', 1],
  [`resource=${of('resource_id')}`, 7],
  [`ray=${of('raw_cf_ray_id')}`, 7],
  ['product=Pro*', 7],
  [line('product:pro*'), 8],
  ['zone=zone.example', 7],
  ['zone=zone-of-it', 7],
  [`actor=${of('actor_email')}`, 7],
  ["actor=o'hara*", 7],
  [`actor=token:${of('actor_token_name')}`, 7],
  ['actor=2001:db8::/32', 7],
  ['actor=2001:DB8:0::25', 7],
  ['actor=2001:d*', 7],
  ['text=action', 200],
  [`text=${encodeURIComponent('"result"')}`, 10],
  ['defects=true', 10],
  ['changed=true', 0],
  [line('-action:delete,view'), 10],
  [line('status:4xx,>=500'), 0],
  [line('-status:200 method:p*'), 0],
  [line(`agent:${quoted(marks['raw_user_agent'])}`), 7],
  [line(`uri:${quoted(marks['raw_uri'])} context:d* actor_type:user`), 7],
  [line('-actor:mira* -"some text" -ip:198.51.100.0/24,192.0.2.*'), 10],
  [line(`token:${quoted(marks['actor_token_name'])} defects:false`), 7],
  [`action=DELETE&${line('-result:success')}`, 0],
];
test('curl, SQL and the command of a search give the same events', async () => {
  const { rows } = await pool.query('select id, name from organizations order by name');
  const [one, two] = rows;
  const all: typeof searches = [
    ...searches,
    [`organization=${encodeURIComponent(one.name.toUpperCase())}`, 1],
    [line(`organization:${quoted(one.name)},${two.id}`), 1],
  ];
  const copies = [];
  for (const [query] of all) copies.push(await copiesOf(query));
  const words = await wordsOf(copies.flatMap(({ curl, command }) => [curl, command]));
  expect(words).toHaveLength(2 * all.length);
  for (const [index, [query, least]] of all.entries()) {
    const expected = await byCurl(words[2 * index] ?? []);
    expect(expected.length, query).toBeGreaterThanOrEqual(least);
    expect(await bySql(copies[index]?.sql ?? ''), query).toEqual(expected);
    expect(await byCommand(words[2 * index + 1] ?? []), query).toEqual(expected);
  }
});

test('they have no token, and no host that a client made up', async () => {
  const { curl, sql, command } = await copiesOf('');
  expect(curl).toContain('Bearer $TOKEN');
  expect(sql + command).not.toMatch(/bearer|token/i);
});

const unescaped = (html: string): string =>
  html
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&');

/** What the page of a search has to copy. */
const copiesOf = async (query: string): Promise<{ curl: string; sql: string; command: string }> => {
  const response = await fetch(`${served.server.url}/events?limit=500&${query}`);
  const page = await response.text();
  expect(response.status, page).toBe(200);
  const [curl, sql, command] = [0, 1, 2].map((n) =>
    unescaped(new RegExp(`<pre [^>]*id="copy-${n}"[^>]*>([^<]*)</pre>`).exec(page)?.[1] ?? ''),
  ) as [string, string, string];
  return { curl, sql, command };
};

/** Of each text that is a command, the arguments as a shell gives them to a program. */
const wordsOf = async (texts: readonly string[]): Promise<readonly (readonly string[])[]> => {
  const show = `{ printf '%s\\0' "\${FUNCNAME[0]}" "$@"; printf '\\1'; }`;
  const script = [`curl() ${show}`, `orgtrail() ${show}`, ...texts].join('\n');
  const { stdout } = await promisify(execFile)('bash', ['-c', script], { env: { ...process.env, TOKEN: 'a-token' } });
  return stdout
    .split('\u0001')
    .slice(0, -1)
    .map((words) => words.split('\0').slice(1, -1));
};

type Found = { readonly events: readonly { readonly position: number }[] };

const positionsOf = ({ events }: Found): readonly number[] => events.map(({ position }) => position);

const byCurl = async (words: readonly string[]): Promise<readonly number[]> => {
  expect(words.slice(0, 3)).toEqual(['-sf', '-H', 'Authorization: Bearer a-token']);
  const response = await fetch(words[3] ?? '');
  return positionsOf((await response.json()) as Found);
};

const bySql = async (text: string): Promise<readonly number[]> => {
  const { rows } = await reader.pool.query<{ position: string }>(text);
  return rows.map(({ position }) => Number(position));
};

const byCommand = async ([verb = '', ...words]: readonly string[]): Promise<readonly number[]> => {
  const { code, stdout, stderr } = await runInProcess([verb, '--json', ...words], { DATABASE_URL: world.database.url });
  expect(code, stderr).toBe(0);
  return positionsOf(JSON.parse(stdout) as Found);
};
