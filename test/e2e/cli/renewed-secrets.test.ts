import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createLogin } from '../../support/accounts/login.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';
import { until } from '../../support/process/until.ts';
import { openWorld, type SyncWorld } from '../../support/sync/sync-world.ts';

const { folder: directory } = temporaryFolder();
let files = 0;

describe.concurrent('a token that is rotated while the daemon runs', () => {
  test('file first: not one request fails, nothing is lost', async () => {
    await using opened = await openTokenWorld();
    const { world, file, daemon, accept } = opened;
    await allStored(world);
    await file.write(newToken);
    accept(newToken);
    addEntries(world);
    await allStored(world);
    await world.expectExactTruth();
    expect(daemon.process.child.exitCode).toBeNull();
    const log = daemon.process.stdout();
    expect(log).toContain('secrets reloaded from their files');
    expect(log).not.toContain('sync failed for an organization; will retry after backoff');
    for (const token of [oldToken, newToken]) expect(log).not.toContain(token);
  });

  test('API first: refused meanwhile, and everything is read once the file has the new one', async () => {
    await using opened = await openTokenWorld();
    const { world, file, daemon, accept } = opened;
    await allStored(world);
    accept(newToken);
    addEntries(world);
    await daemon.process.waitFor('listing organizations failed');
    await file.write(newToken);
    await allStored(world);
    await world.expectExactTruth();
    expect(daemon.process.child.exitCode).toBeNull();
  });

  test('SIGHUP: the new one is used at once, although the old one still works', async () => {
    await using opened = await openTokenWorld();
    const { world, file, daemon, accept } = opened;
    await allStored(world);
    accept(oldToken, newToken);
    expect(fingerprints(world).size).toBe(1);
    await file.write(newToken);
    daemon.process.child.kill('SIGHUP');
    await daemon.process.waitFor('secrets reloaded from their files');
    await until('the new one is used', async () => fingerprints(world).size === 2);
    expect(daemon.process.stdout()).not.toContain('sync failed for an organization; will retry after backoff');
  });

  test('a file that is empty for a moment changes nothing', async () => {
    await using opened = await openTokenWorld();
    const { world, file, daemon } = opened;
    await allStored(world);
    await file.write('');
    daemon.process.child.kill('SIGHUP');
    await daemon.process.waitFor('reloading secrets failed');
    addEntries(world);
    await allStored(world);
    expect(daemon.process.stdout()).toContain('CLOUDFLARE_API_TOKEN_FILE: the file is empty');
  });
});

test.each(['file', 'directory'] as const)(
  'SIGHUP takes up a credential that was added to a %s, and lets go of one that was taken out',
  async (kind) => {
    const [first, second] = ['token-of-a', 'cfat_of_the_second'];
    await using world = await openWorld({
      organizations: 1,
      entries: 90,
      accounts: 2,
      accountEntries: 180,
      credentials: [
        { token: first, user: 'a@example.com', accounts: [0] },
        { token: second, account: 1 },
      ],
    });
    const a = { a: { token: first } };
    const both = { ...a, own: { token: second } };
    const file = kind === 'file' ? await secretFile('{}') : await credentialDirectory();
    await file.write(JSON.stringify(a));
    const { CLOUDFLARE_API_TOKEN: _, ...env } = world.env;
    await using daemon = await startDaemonProcess({ ...env, CLOUDFLARE_CREDENTIALS_FILE: file.path });
    const readers = async () => {
      const { rows } = await world.database.pool.query<{ id: string; credential: string | null }>(
        `select id, credential from sources s where kind = 'account' and exists (
         select from lanes where source_kind = s.kind and source_id = s.id and last_success_at is not null)`,
      );
      return rows;
    };
    const [shown, other] = world.simulator.summary().accounts.map(({ id }) => id);
    const isReadBy = async (expected: readonly string[]) => {
      const ids = (await readers()).map(({ id }) => id);
      return ids.toSorted().join() === expected.toSorted().join();
    };
    await until('the first account is read', () => isReadBy([shown ?? '']));
    await file.write(JSON.stringify(both));
    daemon.process.child.kill('SIGHUP');
    await daemon.process.waitFor('secrets reloaded from their files');
    await until('the second is read with its own token', async () =>
      (await readers()).some(({ id, credential }) => id === other && credential === 'own'),
    );
    await file.write(JSON.stringify(a));
    daemon.process.child.kill('SIGHUP');
    await until('it is not used any more', async () => {
      world.simulator.generate({ kind: 'account', id: other ?? '' }, 1);
      const [asked, ...later] = world.simulator.requests().map(({ credential }) => credential);
      return later.slice(-20).every((credential) => credential === asked);
    });
    expect(daemon.process.child.exitCode).toBeNull();
  },
);

test('SIGHUP renews the feed token: the old one is refused from then on', async () => {
  const [old, renewed] = ['the-old-feed-token', 'the-new-feed-token'];
  await using world = await openWorld({ organizations: 1, entries: 0 });
  const file = await secretFile(old);
  await using daemon = await startDaemonProcess({ ...world.env, ORGTRAIL_FEED_TOKEN_FILE: file.path });
  const url = /"url":"([^"]+)"/.exec(daemon.process.stdout())?.[1] ?? '';
  const ask = async (token: string) =>
    (await fetch(`${url}/v1/status`, { headers: { authorization: `Bearer ${token}` } })).status;
  expect([await ask(old), await ask(renewed)]).toEqual([200, 401]);
  await file.write(renewed);
  daemon.process.child.kill('SIGHUP');
  await daemon.process.waitFor('secrets reloaded from their files');
  expect([await ask(old), await ask(renewed)]).toEqual([401, 200]);
});

test('a database password that is changed is taken from its file for the next connection', async () => {
  await using world = await openWorld();
  const { pool } = world.database;
  const { rows } = await pool.query<{ owner: string }>('select current_user as owner');
  await using login = await createLogin(world.database, [rows[0]?.owner ?? ''], 'old-password-of-the-test');
  const file = await secretFile(login.url);
  const { DATABASE_URL: _, ...env } = world.env;
  await using daemon = await startDaemonProcess({ ...env, DATABASE_URL_FILE: file.path });
  await allStored(world);
  const url = new URL(login.url);
  await pool.query(`alter role ${login.name} password 'new-password-of-the-test'`);
  url.password = 'new-password-of-the-test';
  await file.write(url.href);
  await pool.query('select pg_terminate_backend(pid) from pg_stat_activity where usename = $1', [url.username]);
  addEntries(world);
  await allStored(world);
  expect(daemon.process.child.exitCode).toBeNull();
});

/** Takes what a file of credentials would say. */
const credentialDirectory = async () => {
  files += 1;
  const path = join(directory, `credentials-${files}`);
  await mkdir(path);
  const write = async (text: string) => {
    const credentials: Readonly<Record<string, { readonly token: string }>> = JSON.parse(text);
    for (const name of await readdir(path)) if (!(name in credentials)) await rm(join(path, name));
    for (const [name, { token }] of Object.entries(credentials)) await writeFile(join(path, name), `${token}\n`);
  };
  return { path, write };
};

/** A file of a secret, replaced as secret stores do it: by a rename. */
const secretFile = async (secret: string) => {
  files += 1;
  const path = join(directory, `secret-${files}`);
  const write = async (text: string) => {
    await writeFile(`${path}.new`, `${text}\n`);
    await rename(`${path}.new`, path);
  };
  await write(secret);
  return { path, write };
};

const oldToken = 'the-old-token-of-the-test';
const newToken = 'the-new-token-of-the-test';

/** A world whose API takes only the tokens of a list, which the test changes, and a daemon that has its token from a file. */
const openTokenWorld = async () => {
  const accepted = [{ token: oldToken }];
  const world = await openWorld({ credentials: accepted }, { ORGTRAIL_SETTLE: '5d' });
  const file = await secretFile(oldToken);
  const { CLOUDFLARE_API_TOKEN: _, ...env } = world.env;
  const daemon = await startDaemonProcess({ ...env, CLOUDFLARE_API_TOKEN_FILE: file.path });
  return {
    world,
    file,
    daemon,
    accept: (...tokens: string[]) => void accepted.splice(0, accepted.length, ...tokens.map((token) => ({ token }))),
    [Symbol.asyncDispose]: async () => {
      await daemon.stop();
      await world[Symbol.asyncDispose]();
    },
  };
};

const allStored = (world: SyncWorld) => until('all of it is stored', async () => (await world.compare()).missing === 0);

const addEntries = (world: SyncWorld) => {
  for (const { id } of world.simulator.summary().organizations) world.simulator.generate(id, 50);
};

const fingerprints = (world: SyncWorld) => new Set(world.simulator.requests().map(({ credential }) => credential));
