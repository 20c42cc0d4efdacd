import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { ofAllTests } from '../../support/process/of-tests.ts';
import { type OrgtrailProcess, startOrgtrail } from '../../support/process/orgtrail-process.ts';
import { until } from '../../support/process/until.ts';
import { serve } from '../../support/sync/served.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

const bundle = fileURLToPath(new URL('../../../dist/orgtrail.js', import.meta.url));
const world = ofAllTests(() => openWorld({ organizations: 2, entries: 60 }));
const run = ofAllTests(() => world.open());
const served = ofAllTests(() => serve(run, { feedToken }));
let number = 0;
beforeAll(() => run.cycle());

describe.each(['database', 'url'] as const)('search --follow through %s', (way) => {
  test('prints each new match once, in order, and ends at a signal', async () => {
    const after = await head();
    const lines = follow(way, '--ndjson', '--after', String(after));
    const table = follow(way, '--after', String(after));
    const ids: string[] = [];
    for (let count = 0; count < 3; count += 1) {
      const id = await store();
      ids.push(id);
      await lines.waitFor(`"id":"${id}"`);
      await table.waitFor(`${id}@example.com`);
    }
    lines.child.kill('SIGTERM');
    table.child.kill('SIGINT');
    expect([await lines.ended, await table.ended]).toEqual([143, 130]);
    const printed = lines.stdout().trimEnd().split('\n');
    expect(printed.map((line) => JSON.parse(line).id)).toEqual(ids);
    const [header, ...rows] = table.stdout().trimEnd().split('\n');
    expect(header).toMatch(/^TIME +ORGANIZATION +ACTOR +ACTION +RESULT +RESOURCE +POSITION$/);
    expect(rows.map((row) => /followed-\d+/.exec(row)?.[0])).toEqual(ids);
    expect([lines.stderr(), table.stderr()]).toEqual(['', '']);
  });

  test('begins at the end without --after, and refuses a position beyond it', async () => {
    const beyond = follow(way, '--after', String((await head()) + 1_000));
    expect(await beyond.ended).toBe(2);
    expect(beyond.stderr()).toMatch(/the position \d+ is beyond the end, \d+\n/);
    const following = follow(way);
    await following.waitFor('POSITION');
    // What was stored before it looked for the end is not printed; each further event shows whether it has.
    await until('an event is printed', async () => {
      await store();
      return following.stdout().includes('@example.com');
    });
    expect(following.stdout()).not.toContain('followed-1@');
    following.child.kill('SIGTERM');
    expect(await following.ended).toBe(143);
  });

  test('ends without an error when its reader goes away', async () => {
    const [args, env] = ways[way]();
    const after = await head();
    const child = spawn(
      process.execPath,
      [bundle, 'search', 'action:followed', '--follow', '--after', String(after), ...args],
      { env: { ...env }, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    const ended = once(child, 'close');
    child.stdout.destroy();
    const errors: string[] = [];
    child.stderr.setEncoding('utf8').on('data', (text: string) => errors.push(text));
    await until('it has ended', async () => {
      await store();
      return child.exitCode !== null;
    });
    expect([(await ended)[0], errors.join('')]).toEqual([0, '']);
  });
});

const feedToken = 'feed-token-of-the-follower';

const head = async (): Promise<number> => {
  const { rows } = await world.database.pool.query('select position::float8 from feed_head');
  return rows[0].position;
};

/** Stores a match and an event that is none; returns the id of the match. */
const store = async (): Promise<string> => {
  number += 1;
  const id = `followed-${number}`;
  const entry = (name: string, type: string) =>
    JSON.stringify({
      id: name,
      action: { time: new Date(Date.now() - 90_000).toISOString(), type, result: 'success' },
      actor: { email: `${id}@example.com` },
    });
  const organization = world.simulator.summary().organizations[0]?.id ?? '';
  world.simulator.append(organization, [entry(id, 'followed'), entry(`other-${number}`, 'other')]);
  await until('it is stored', async () => {
    await run.cycle();
    const { rows } = await world.database.pool.query('select 1 from audit_events where id = $1', [id]);
    return rows.length > 0;
  });
  return id;
};

const ways = {
  database: () => [[], { DATABASE_URL: world.database.daemonUrl }] as const,
  url: () => [['--url', served.server.url], { ORGTRAIL_FEED_TOKEN: feedToken }] as const,
};

type Way = keyof typeof ways;

const follow = (way: Way, ...more: string[]): OrgtrailProcess => {
  const [args, env] = ways[way]();
  return startOrgtrail(['search', 'action:followed', '--follow', ...args, ...more], env);
};
