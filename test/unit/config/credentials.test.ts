import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { loadConfig, readConfig, secretsOf } from '../../../src/app/config/config.ts';
import { shownSettings } from '../../../src/app/config/effective-settings.ts';
import { createLiveSecrets } from '../../../src/app/config/live-secrets.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';

const { file } = temporaryFolder();
const SECRET = 'the-secret-of-the-test';

it('CLOUDFLARE_CREDENTIALS names further credentials, beside the one that is set by itself or in place of it', () => {
  const CLOUDFLARE_CREDENTIALS = JSON.stringify({
    acme: { token: 'cfat_acme', accounts: ['a1', 'a1', 'a2'] },
    b: { email: 'b@example.com', key: 'key-of-b', budget: 300 },
    orgs: { token_file: file('orgs', 'from-a-file\n'), organizations: true },
  });
  const named = [
    { name: 'acme', credential: { kind: 'token', token: 'cfat_acme' }, budget: 600 },
    { name: 'b', credential: { kind: 'key', email: 'b@example.com', key: 'key-of-b' }, budget: 300 },
    { name: 'orgs', credential: { kind: 'token', token: 'from-a-file' }, budget: 600 },
  ];
  const uses = [
    { accounts: ['a1', 'a2'], organizations: false },
    { accounts: true, organizations: true },
    { accounts: false, organizations: true },
  ];
  const expected = named.map((each, index) => ({ ...each, ...uses[index] }));
  const config = loadConfig({ CLOUDFLARE_CREDENTIALS, ORGTRAIL_API_BUDGET: '600' }, options);
  expect(config.credentials).toEqual(expected);
  expect(config.credential).toBeUndefined();
  const both = loadConfig({ CLOUDFLARE_CREDENTIALS, CLOUDFLARE_API_TOKEN: 't', ORGTRAIL_API_BUDGET: '600' }, options);
  const first = { name: 'default', credential: { kind: 'token', token: 't' }, budget: 600 };
  expect(both.credentials).toEqual([{ ...first, accounts: true, organizations: true }, ...expected]);
  expect(secretsOf(both)).toEqual(
    expect.arrayContaining(['t', 'cfat_acme', 'key-of-b', 'b@example.com', 'from-a-file']),
  );
});

it('CLOUDFLARE_CREDENTIALS comes from a file of its own, and from the YAML file, whose lines faults name', () => {
  const path = file('all.json', '{"acme": {"token": "cfat_acme"}}');
  expect(loadConfig({ CLOUDFLARE_CREDENTIALS_FILE: path }, options).credentials).toMatchObject([{ name: 'acme' }]);
  const yaml = file('good.yaml', 'cloudflare:\n  credentials:\n    acme:\n      token: cfat_acme\n      budget: 70\n');
  expect(loadConfig({ ORGTRAIL_CONFIG: yaml }, options).credentials).toMatchObject([{ name: 'acme', budget: 70 }]);
  const bad = file('bad.yaml', `cloudflare:\n  credentials:\n    acme:\n      token: ${SECRET}\n      budget: 1\n`);
  const { faults } = readConfig({ ORGTRAIL_CONFIG: bad }, options);
  expect(faults).toMatchObject([{ message: expect.stringContaining('budget must be'), place: { line: 5 } }]);
});

// biome-ignore format: a table
it.each([
  [{ a: {} }, 'CLOUDFLARE_CREDENTIALS.a must have a token, or an email and a key'],
  [{ a: { email: 'a@b' } }, 'CLOUDFLARE_CREDENTIALS.a must have a token, or an email and a key'],
  [{ a: { token: SECRET, key: SECRET } }, 'CLOUDFLARE_CREDENTIALS.a has a token and an email or a key: set only one way'],
  [{ a: { token: `${SECRET} x` } }, 'CLOUDFLARE_CREDENTIALS.a.token has spaces or control characters in it'],
  [{ a: { token: 7 } }, 'CLOUDFLARE_CREDENTIALS.a.token must be text'],
  [{ a: { token_file: '/nowhere' } }, 'CLOUDFLARE_CREDENTIALS.a.token_file: the file cannot be read (ENOENT)'],
  [{ a: { tokn: SECRET, token: 't' } }, 'CLOUDFLARE_CREDENTIALS.a.tokn is not a setting of a credential; did you mean "token"?'],
  [{ a: { [`${SECRET} `]: 1, token: 't' } }, 'CLOUDFLARE_CREDENTIALS.a.(a member) is not a setting'],
  [{ a: { token: 't', budget: 9 } }, 'CLOUDFLARE_CREDENTIALS.a.budget must be an integer between 10'],
  [{ a: { token: 't', accounts: [SECRET, 'x y'] } }, 'CLOUDFLARE_CREDENTIALS.a.accounts must be true, or a list of ids'],
  [{ a: { token: 't', organizations: false } }, 'CLOUDFLARE_CREDENTIALS.a.organizations must be true, or a list of ids'],
  [{ a: { token: 't' }, b: { token: 't' } }, 'CLOUDFLARE_CREDENTIALS.b has the secret of CLOUDFLARE_CREDENTIALS.a'],
  [{ 'A b': { token: SECRET } }, 'CLOUDFLARE_CREDENTIALS: the name of a credential must have 1 to 40'],
  [{ a: SECRET }, 'CLOUDFLARE_CREDENTIALS.a must be an object'],
  [`{"a": {"token": "${SECRET}`, 'CLOUDFLARE_CREDENTIALS must be a JSON object of credentials'],
  [{}, 'no credential: set CLOUDFLARE_API_TOKEN'],
])('CLOUDFLARE_CREDENTIALS says what is wrong with %j, without a value (invariant 12)', (credentials, fault) => {
  const messages = faultsOf(credentials);
  expect(messages).toEqual([expect.stringContaining(fault)]);
});

it('CLOUDFLARE_CREDENTIALS may not take the name of the credential that is set by itself', () => {
  expect(faultsOf({ default: { token: SECRET } }, { CLOUDFLARE_API_TOKEN: 't' })).toEqual([
    'CLOUDFLARE_CREDENTIALS.default is the name of the credential that is set by itself',
  ]);
  expect(faultsOf({ default: { token: SECRET } })).toEqual([]);
});

it('CLOUDFLARE_CREDENTIALS is shown with its secrets hidden', () => {
  const CLOUDFLARE_CREDENTIALS = JSON.stringify({
    a: { email: 'me@x', key: 'abc', budget: 20 },
    b: { token: SECRET },
  });
  const shown = shownSettings(readConfig({ CLOUDFLARE_CREDENTIALS }, options), []);
  expect(shown.find(({ setting }) => setting === 'CLOUDFLARE_CREDENTIALS')?.value).toEqual({
    a: { email: '(hidden)', key: '(hidden)', budget: 20 },
    b: { token: '(hidden)' },
  });
});

it('CLOUDFLARE_CREDENTIALS is read again: credentials come, change and go, and a name keeps its source', () => {
  const write = (credentials: unknown) => file('live.json', JSON.stringify(credentials));
  const env = { CLOUDFLARE_CREDENTIALS_FILE: write({ a: { token: 'a-one' }, b: { token: 'b-one' } }) };
  const config = loadConfig(env, options);
  const hidden = secretsOf(config);
  const changes: (readonly string[])[] = [];
  const secrets = createLiveSecrets(env, config, { hidden, onChange: (settings) => changes.push(settings) });
  const [a, b] = secrets.credentials();
  const before = b?.source.current();
  write({ b: { token: 'b-one' }, a: { token: 'a-two' }, c: { token: 'c-one' } });
  expect(a?.source.refresh()).toBe(true);
  expect(a?.source.current()).toEqual({ kind: 'token', token: 'a-two' });
  expect(b?.source.current(), 'the same object').toBe(before);
  expect(secrets.credentials().map(({ name }) => name)).toEqual(['b', 'a', 'c']);
  expect(secrets.credentials()[1]?.source).toBe(a?.source);
  expect(hidden).toEqual(expect.arrayContaining(['a-one', 'a-two', 'c-one']));
  write({ c: { token: 'c-one' } });
  expect(secrets.reload()).toBe(true);
  expect(secrets.credentials().map(({ name }) => name)).toEqual(['c']);
  expect(a?.source.current()).toEqual({ kind: 'token', token: 'a-two' });
  expect(changes).toEqual([
    ['CLOUDFLARE_CREDENTIALS.a', 'CLOUDFLARE_CREDENTIALS.c'],
    ['CLOUDFLARE_CREDENTIALS.b', 'CLOUDFLARE_CREDENTIALS.a'],
  ]);
  write({});
  expect(secrets.reload(), 'without any there is nothing to read with').toBe(false);
  expect(secrets.credentials()).toHaveLength(1);
});

/** A folder as Kubernetes mounts a secret: each name is a link to what `..data` is a link to. */
const mount = () => {
  const folder = mkdtempSync(join(tmpdir(), 'orgtrail-folder-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  let generation = 0;
  return {
    folder,
    set: (files: Readonly<Record<string, string>>) => {
      generation += 1;
      const data = `..generation-${generation}`;
      mkdirSync(join(folder, data));
      for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, data, name), text);
      symlinkSync(data, join(folder, '..new'));
      renameSync(join(folder, '..new'), join(folder, '..data'));
      for (const name of readdirSync(folder)) if (!name.startsWith('.') && !(name in files)) rmSync(join(folder, name));
      for (const name of Object.keys(files)) {
        if (!readdirSync(folder).includes(name)) symlinkSync(join('..data', name), join(folder, name));
      }
    },
  };
};

it('CLOUDFLARE_CREDENTIALS_FILE may be a directory with a file for each credential', () => {
  const { folder, set } = mount();
  set({
    'acme.token': 'cfat_acme\n',
    b: '{"email": "b@example.com", "key": "key-of-b", "budget": 300}',
    '.hidden': 'x',
  });
  mkdirSync(join(folder, 'lost+found'));
  const config = loadConfig({ CLOUDFLARE_CREDENTIALS_FILE: folder, ORGTRAIL_API_BUDGET: '600' }, options);
  expect(config.credentials).toEqual([
    {
      name: 'acme',
      credential: { kind: 'token', token: 'cfat_acme' },
      budget: 600,
      accounts: true,
      organizations: true,
    },
    expect.objectContaining({ name: 'b', budget: 300 }),
  ]);
  expect(secretsOf(config)).toEqual(expect.arrayContaining(['cfat_acme', 'key-of-b']));
});

it('a directory of credentials with bad files is refused at the start, and each file is named (invariant 12)', () => {
  const { folder, set } = mount();
  set({
    a: SECRET,
    again: SECRET,
    empty: '',
    json: `{"token": "${SECRET}`,
    spaces: `${SECRET} x`,
    'A b': 'c',
    'a.txt': 'd',
  });
  writeFileSync(join(folder, 'gone'), '');
  rmSync(join(folder, 'gone'));
  symlinkSync('nowhere', join(folder, 'gone'));
  const messages = readConfig({ CLOUDFLARE_CREDENTIALS_FILE: folder }, options).faults.map(({ message }) => message);
  const at = 'CLOUDFLARE_CREDENTIALS_FILE';
  for (const fault of [
    `${at}/A?b: the name of a credential must have`,
    `${at}/a.txt: another file has the name a, too`,
    `${at}/empty: the file is empty`,
    `${at}/gone: the file cannot be read (ENOENT)`,
    `${at}/json must be a token or a JSON object`,
    `${at}/spaces has spaces or control characters in it`,
    `${at}: again has the secret of a`,
  ])
    expect(messages).toContainEqual(expect.stringContaining(fault));
  expect(messages).toHaveLength(7);
  expect(messages.join()).not.toContain(SECRET);
});

it('a directory of credentials is read again: a file with a fault keeps what it had, and stops no other', () => {
  const { folder, set } = mount();
  set({ a: 'a-one', b: 'b-one', c: 'c-one' });
  const env = { CLOUDFLARE_CREDENTIALS_FILE: folder };
  const reasons: string[] = [];
  const secrets = createLiveSecrets(env, loadConfig(env, options), {
    hidden: [],
    onFault: (reason) => reasons.push(reason),
  });
  const tokens = () => secrets.credentials().map(({ name, source }) => [name, source.current()]);
  const token = (name: string, of: string) => [name, { kind: 'token', token: of }];
  set({ a: 'a-two', b: '', d: 'd-one', e: 'no token' });
  expect(secrets.reload()).toBe(true);
  expect(tokens()).toEqual([token('a', 'a-two'), token('b', 'b-one'), token('d', 'd-one')]);
  expect(reasons).toEqual([expect.stringMatching(/_FILE\/b: the file is empty; .*_FILE\/e has spaces/)]);
  expect(secrets.reload(), 'nothing new').toBe(false);
  expect(reasons, 'told once').toHaveLength(1);
  set({});
  expect(secrets.reload(), 'without any there is nothing to read with').toBe(false);
  rmSync(folder, { recursive: true });
  expect(secrets.reload()).toBe(false);
  expect(tokens()).toHaveLength(3);
  mkdirSync(folder);
});

const options = { needsCredential: true, interactive: false };

const faultsOf = (credentials: unknown, more: Record<string, string> = {}) => {
  const text = typeof credentials === 'string' ? credentials : JSON.stringify(credentials);
  const messages = readConfig({ CLOUDFLARE_CREDENTIALS: text, ...more }, options).faults.map(({ message }) => message);
  expect(messages.join('\n')).not.toContain(SECRET);
  return messages;
};
