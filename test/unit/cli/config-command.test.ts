import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { loadConfig } from '../../../src/app/config/config.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';
import { forAllAsync } from '../for-all.ts';

const { folder, file } = temporaryFolder();
const path = join(folder, 'orgtrail.yaml');

test('config check names all faults with their places, and where each setting is from; exit 2', async () => {
  write('leese: 1s\nlease: 1x\n');
  const env = { CLOUDFLARE_API_TOKEN: 'a-token', ORGTRAIL_HTTP_PORT: 'x' };
  const { code, stdout, stderr } = await runInProcess(['config', 'check', '--file', path], env);
  expect(stdout.replaceAll(path, 'F').split('\n')).toEqual([
    'FAIL  ORGTRAIL_HTTP_PORT must be an integer between 0 and 65535, not "x"',
    'FAIL  F:1:1: "leese" is not a setting; did you mean lease?',
    'FAIL  F:2:8: lease must be a duration from 1s to 10m, not "1x"',
    '      CLOUDFLARE_API_TOKEN  from environment',
    '      lease                 from F:2:8',
    '      ORGTRAIL_HTTP_PORT    from environment',
    '',
  ]);
  expect({ code, stderr }).toEqual({ code: 2, stderr: '' });
});

test('config check a good file: exit 0, with what the environment overrides', async () => {
  const env = { ORGTRAIL_CONFIG: write(good), ORGTRAIL_SETTLE: 'none' };
  const { code, stdout } = await runInProcess(['config', 'check'], env);
  // biome-ignore format: a table
  expect(stdout.replaceAll(path, 'F').split('\n')).toEqual([
      'ok    the settings are valid', 'note  ORGTRAIL_SETTLE is none: entries that arrive late will be missed',
      '      cloudflare.api_token  from F:1:25', '      database.url          from F:2:17',
      '      ORGTRAIL_SETTLE       from environment, which overrides F:3:1', '      filters               from F:4:1',
      '      sinks                 from F:5:1', '',
    ]);
  expect(code).toBe(0);
});

test('config check --json has the same', async () => {
  write('lease: 1x\n');
  const env = { CLOUDFLARE_API_TOKEN: 't' };
  const { code, stdout } = await runInProcess(['config', 'check', '--json', '--file', path], env);
  expect(JSON.parse(stdout)).toEqual({
    ok: false,
    file: path,
    faults: [{ message: 'lease must be a duration from 1s to 10m, not "1x"', file: path, line: 1, column: 8 }],
    notes: [],
    settings: [
      { setting: 'CLOUDFLARE_API_TOKEN', key: 'cloudflare.api_token', source: 'environment' },
      { setting: 'ORGTRAIL_LEASE', key: 'lease', source: 'file', place: { file: path, line: 1, column: 8 } },
    ],
  });
  expect(code).toBe(2);
});

test('config print prints every setting with its source, and hides secrets, those in addresses included', async () => {
  const env = { ORGTRAIL_FEED_TOKEN: 'the-feed-token-123', ORGTRAIL_API_BUDGET: '1000' };
  const { code, stdout } = await runInProcess(['config', 'print', '--file', write(good)], env);
  expect(code).toBe(0);
  const lines = stdout.replaceAll(path, 'F').split('\n');
  // biome-ignore format: a table
  for (const line of [
    '  api_token: (hidden) # F:1:25', '  url: postgres://orgtrail:(hidden)@db.example.com/orgtrail?sslmode=verify-full # F:2:17',
    'settle: [10m, 24h] # F:3:1', 'filters: [actor_email.not=a+b@example.com] # F:4:1', 'api_budget: 1000 # environment',
    'feed_token: (hidden) # environment', 'history: 548d # default', 'organizations: null # default',
    '    url: https://hooks.example.com/(hidden)', '    secret: (hidden)',
  ]) {
    expect(lines).toContain(line);
  }
});

test('config print what it prints is a file with the same meaning, but for its secrets', async () => {
  const text =
    'cloudflare: {api_token: t}\nscrub_share: 1%\nsettle: [1m]\nsinks: {f: {type: file, path: /x}}\nfilters: [id=a&b]\n';
  const options = { needsCredential: true, interactive: false };
  const before = loadConfig({ ORGTRAIL_CONFIG: write(text) }, options);
  const { stdout } = await runInProcess(['config', 'print'], { ORGTRAIL_CONFIG: path });
  write(stdout.replace('(hidden)', 't'));
  expect(loadConfig({ ORGTRAIL_CONFIG: path }, options)).toEqual(before);
});

test('config print --json', async () => {
  const { stdout } = await runInProcess(['config', 'print', '--json'], { ORGTRAIL_API_BUDGET: '1000' });
  const { settings } = JSON.parse(stdout);
  const budget = { setting: 'ORGTRAIL_API_BUDGET', key: 'api_budget', source: 'environment', value: 1_000 };
  expect(settings).toContainEqual(budget);
  expect(settings).toContainEqual({ setting: 'ORGTRAIL_LEASE', key: 'lease', source: 'default', value: '30s' });
});

test('config print faults are those of every command, exit 2', async () => {
  const { code, stdout, stderr } = await runInProcess(['config', 'print', '--file', write('lease: 1x')], {});
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(/^orgtrail: configuration error:\n {2}- .*orgtrail\.yaml:1:8: lease must be a duration/);
});

/** Every place of a secret. */
const settingsWith = (mark: string) => ({
  CLOUDFLARE_API_TOKEN: `token-${mark}`,
  CLOUDFLARE_EMAIL: `mail-${mark}@example.com`,
  CLOUDFLARE_API_KEY: `key-${mark}`,
  DATABASE_URL: `postgres://user:pass%2F${mark}@127.0.0.1/x?password=p-${mark}`,
  ORGTRAIL_FEED_TOKEN: `feed-token-${mark}`,
  ORGTRAIL_SINKS: {
    hec: { type: 'splunk_hec', url: 'https://s', token: `sink-${mark}` },
    es: { type: 'elasticsearch', url: 'https://e', index: 'i', username: 'u', password: `es-${mark}` },
    es2: { type: 'elasticsearch', url: 'https://e', index: 'i', api_key: `api-${mark}` },
    hook: {
      type: 'webhook',
      url: `https://h/path-${mark}?code=${mark}`,
      secret: `whsec_${Buffer.from(`${mark}${'x'.repeat(24)}`).toString('base64')}`,
    },
  },
});

type Secrets = ReturnType<typeof settingsWith>;

const inYaml = (settings: Partial<Secrets>): string => {
  const { DATABASE_URL: url, ORGTRAIL_FEED_TOKEN: feed, ORGTRAIL_SINKS: sinks, ...cloudflare } = settings;
  const keys = Object.entries(cloudflare).map(([name, value]) => [
    name.replace('CLOUDFLARE_', '').toLowerCase(),
    value,
  ]);
  return stringify({ cloudflare: Object.fromEntries(keys), database: { url }, feed_token: feed, sinks });
};

const inEnvironment = (settings: Partial<Secrets>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]),
  );

const without = <K extends keyof Secrets>(settings: Partial<Secrets>, names: readonly K[]): Partial<Secrets> =>
  Object.fromEntries(Object.entries(settings).filter(([name]) => !names.some((each) => each === name)));

const expectHidden = async (mark: string, env: Record<string, string>) => {
  const outputs = ['check', 'print'].flatMap((command) => [[], ['--json']].map((more) => ['config', command, ...more]));
  const answers = await Promise.all(outputs.map((args) => runInProcess(args, env)));
  const base64 = Buffer.from(mark).toString('base64').slice(0, 12);
  for (const { stdout, stderr } of answers) {
    for (const needle of [mark, base64]) expect(`${stdout}${stderr}`).not.toContain(needle);
  }
  return answers.map(({ code }) => code);
};
const marks = fc.stringMatching(/^[a-z0-9]{12}$/);

test.each([
  ['a token', ['CLOUDFLARE_EMAIL', 'CLOUDFLARE_API_KEY']],
  ['a key', ['CLOUDFLARE_API_TOKEN']],
] as const)(
  'no secret, wherever it is given, is in what check and print say all are good, and each in the file or the environment: %s',
  async (_what, left) => {
    await forAllAsync(
      [marks, fc.subarray(Object.keys(settingsWith('')) as (keyof Secrets)[])],
      { numRuns: 10 },
      async (mark, names) => {
        const all = without(settingsWith(mark), left);
        const ofFile = without(all, names);
        const environment = inEnvironment(without(all, Object.keys(ofFile) as (keyof Secrets)[]));
        expect(await expectHidden(mark, { ORGTRAIL_CONFIG: write(inYaml(ofFile)), ...environment })).toEqual([
          0, 0, 0, 0,
        ]);
      },
    );
  },
);

test('no secret, wherever it is given, is in what check and print say the file is cut off, or has lost, doubled or changed characters in it', async () => {
  // All but letters and digits: what makes the structure of the text.
  const breaks = fc.constantFrom(
    '',
    '"',
    "'",
    ':',
    ': ',
    '\n',
    '  ',
    '{',
    '[',
    ']',
    '*',
    '&a ',
    '!t ',
    '- ',
    '#',
    '\t',
    '|',
    '\\',
  );
  await forAllAsync(
    [marks, fc.nat(), breaks, fc.integer({ min: 0, max: 2 })],
    { numRuns: 40 },
    async (mark, at, put, taken) => {
      const text = inYaml(settingsWith(mark));
      const index = at % text.length;
      const broken = text.slice(0, index) + put + text.slice(index + taken);
      await expectHidden(mark, { ORGTRAIL_CONFIG: write(put === '' ? text.slice(0, index) : broken) });
    },
  );
});

test('no secret, wherever it is given, is in what check and print say the texts have what is looked for', () => {
  const text = inYaml(settingsWith('abcdefabcdef'));
  expect(text.match(/abcdefabcdef/g)).toHaveLength(11);
  expect(Object.keys(parse(text))).toEqual(['cloudflare', 'database', 'feed_token', 'sinks']);
});

const write = (text: string): string => file('orgtrail.yaml', text);

const good = `cloudflare: {api_token: the-token-of-the-file}
database: {url: "postgres://orgtrail:pw12@db.example.com/orgtrail?sslmode=verify-full"}
settle: [10m, 24h]
filters: [actor_email.not=a+b@example.com]
sinks:
  hook:
    type: webhook
    url: https://hooks.example.com/services/the-path?code=the-code
    secret: whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
`;
