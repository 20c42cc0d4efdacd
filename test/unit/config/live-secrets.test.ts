import { rmSync } from 'node:fs';
import { expect, it } from 'vitest';
import { loadConfig, secretsOf } from '../../../src/app/config/config.ts';
import { createLiveSecrets } from '../../../src/app/config/live-secrets.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';

const { file } = temporaryFolder();

it('secrets from files are taken when they are read again, and hidden from then on (invariant 12)', () => {
  const env = {
    CLOUDFLARE_API_TOKEN_FILE: file('token', 'token-one'),
    ORGTRAIL_FEED_TOKEN_FILE: file('feed', 'feed-token-number-one'),
    ORGTRAIL_SINKS: JSON.stringify({
      hec: { type: 'splunk_hec', url: 'https://s', token_file: file('hec', 'sink-one') },
      log: { type: 'file', path: '/x' },
    }),
  };
  const { config, secrets, hidden, changes } = open(env);
  const first = secrets.credential.current();
  expect(secrets.reload(), 'nothing has changed').toBe(false);
  expect(secrets.credential.current()).toBe(first);
  file('token', 'token-two');
  file('feed', 'feed-token-number-two');
  file('hec', 'sink-two');
  expect(secrets.credential.refresh()).toBe(true);
  expect(secrets.credential.current()).toEqual({ kind: 'token', token: 'token-two' });
  expect(secrets.feedToken()).toBe('feed-token-number-two');
  const [hec, log] = config.sinks;
  expect(hec && secrets.sink('hec', hec.settings)).toMatchObject({ token: 'sink-two' });
  expect(log && secrets.sink('log', log.settings)).toBe(log?.settings);
  expect(hidden).toEqual(expect.arrayContaining(['token-one', 'token-two', 'feed-token-number-two', 'sink-two']));
  expect(changes).toEqual([['the Cloudflare credential', 'ORGTRAIL_FEED_TOKEN', 'ORGTRAIL_SINKS.hec']]);
  expect(secrets.credential.refresh(), 'once').toBe(false);
});

it('secrets from files that cannot be read stay as they were, which is said once', () => {
  const path = file('gone', 'token-one');
  const { secrets, faults } = open({ CLOUDFLARE_API_TOKEN_FILE: path });
  rmSync(path);
  expect([secrets.reload(), secrets.reload()]).toEqual([false, false]);
  expect(secrets.credential.current()).toEqual({ kind: 'token', token: 'token-one' });
  expect(faults).toEqual([expect.stringContaining('CLOUDFLARE_API_TOKEN_FILE: the file cannot be read (ENOENT)')]);
});

it('secrets from files give a new password, and never another database', () => {
  const url = (text: string) => file('url', text);
  const env = {
    CLOUDFLARE_API_TOKEN: 'token-one',
    DATABASE_URL_FILE: url('postgres://o:one@db/orgtrail?sslmode=disable'),
  };
  const { secrets } = open(env);
  url('postgres://o:two@db/orgtrail?sslmode=disable');
  expect(secrets.databaseUrl()).toBe('postgres://o:two@db/orgtrail?sslmode=disable');
  url('postgres://o:three@elsewhere/orgtrail?sslmode=disable');
  expect(secrets.databaseUrl()).toBe('postgres://o:one@db/orgtrail?sslmode=disable');
});

it('secrets from files alone are read again: variables stay as they are', () => {
  const { secrets } = open({ CLOUDFLARE_API_TOKEN: 'token-one' });
  expect([secrets.reload(), secrets.feedToken()]).toEqual([false, undefined]);
});

const open = (env: Record<string, string>) => {
  const config = loadConfig(env, { needsCredential: true, interactive: false });
  const hidden = secretsOf(config);
  const changes: (readonly string[])[] = [];
  const faults: string[] = [];
  const secrets = createLiveSecrets(env, config, {
    hidden,
    onChange: (settings) => changes.push(settings),
    onFault: (reason) => faults.push(reason),
  });
  return { config, secrets, hidden, changes, faults };
};
