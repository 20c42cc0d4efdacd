import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { keyOf, settingNames } from '../../../src/app/config/settings-list.ts';
import { printVerifierKey, signatureTypes, verifierKey } from '../../../src/evidence/notes/signed-note.ts';
import { sinkTypes } from '../../../src/sinks/registry.ts';
import { ofAllTests } from '../../support/process/of-tests.ts';
import { runOrgtrail } from '../../support/process/orgtrail-process.ts';
import { startInProcess } from '../../support/process/run-in-process.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';
import { until } from '../../support/process/until.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const pages = ['README.md', ...readdirSync(root, { recursive: true, encoding: 'utf8' })]
  .filter((path) => /^(docs|deploy|src)\/.*\.md$|^README\.md$/.test(path) && !path.startsWith('docs/decisions/'))
  .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));

const STRUCTURED =
  /^(?:ORGTRAIL_(?:SINKS|EVIDENCE_ANCHORS|ARCHIVE|FILTERS\w*|SETTLE|SOURCES|ACCOUNTS|ORGANIZATIONS|TRUSTED_PROXIES)|CLOUDFLARE_CREDENTIALS)$/;

/** `NAME=value`, in a shell, a file of settings or a sentence. */
const assigned = pages.flatMap(({ path, text }): Example[] =>
  [...text.matchAll(/\b((?:ORGTRAIL|CLOUDFLARE)_[A-Z_]+)=(?:'([^']*)'|"([^"]*)"|([^\s'"`…]+))/g)].flatMap(
    ([, name = '', ...values]) => {
      const value = values.find((one) => one !== undefined) ?? '';
      return STRUCTURED.test(name) ? [{ name, value, from: path }] : [];
    },
  ),
);

/** Blocks of JSON in which each member has the type of a sink. */
const sinks = pages.flatMap(({ path, text }): Example[] =>
  [...text.matchAll(/^```json\n(.*?)^```/gms)].flatMap(([, value = '']) => {
    const types = [...value.matchAll(/"type": ?"([^"]*)"/g)].map(([, type = '']) => type);
    const isSinks = types.length > 0 && types.every((type) => (sinkTypes as readonly string[]).includes(type));
    return isSinks ? [{ name: 'ORGTRAIL_SINKS', value, from: path }] : [];
  }),
);

/** Anchors in sentences. */
const anchors = pages.flatMap(({ path, text }): Example[] =>
  [...text.matchAll(/`(witness:https:[^`\s…]+)`/g)].map(([, value = '']) => ({
    name: 'ORGTRAIL_EVIDENCE_ANCHORS',
    value,
    from: path,
  })),
);

const yaml = readFileSync(join(root, 'docs/orgtrail.example.yaml'), 'utf8')
  .split('\n\n')
  .slice(1)
  .map((block) => ({ key: /^ *#(\w+):/m.exec(block)?.[1] ?? '', block }))
  .filter(({ key, block }) => block.includes(`#${key}: [`) || /^ *#(credentials|sinks|archive):/m.test(block))
  .map(({ key, block }) => {
    const isOfGroup = /^ {2}#/m.test(block);
    // Only the example itself: a file that holds the same is for the tests of files.
    const lines = block.split('\n').filter((line) => /^ *#(?! \S)/.test(line) && !line.includes(`#${key}_file:`));
    const text = lines.map((line) => line.replace('#', '')).join('\n');
    return { key: isOfGroup ? `cloudflare.${key}` : key, text: isOfGroup ? `cloudflare:\n${text}` : text };
  });

const { folder } = temporaryFolder();
const world = ofAllTests(() => openWorld({ organizations: 1, entries: 1 }));
let vkey: string;
beforeAll(async () => {
  const { x = '' } = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' });
  const key = verifierKey('witness.example.com/w', signatureTypes.cosignature, Buffer.from(x, 'base64url'));
  vkey = printVerifierKey(key);
  const made = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test'.split(' ');
  execFileSync('openssl', [...made, '-keyout', join(folder, 'cert-key'), '-out', join(folder, 'cert')]);
  await runOrgtrail(['evidence', 'init'], { ...world.ownerEnv, ...evidence() });
});

describe('each example of a setting with a structure starts', () => {
  const examples = [
    ...new Map([...assigned, ...sinks, ...anchors].map((one) => [`${one.name}=${one.value}`, one])).values(),
  ];

  test('and there are some of each', () => {
    const names = [...new Set(examples.map(({ name }) => name))];
    for (const name of ['ORGTRAIL_SINKS', 'CLOUDFLARE_CREDENTIALS', 'ORGTRAIL_ARCHIVE', 'ORGTRAIL_EVIDENCE_ANCHORS'])
      expect(names).toContain(name);
    const of = examples
      .filter(({ name }) => name === 'ORGTRAIL_EVIDENCE_ANCHORS')
      .map(({ value }) => value.split(':')[0]);
    expect([...new Set(of)].toSorted()).toEqual(['file', 's3', 'witness']);
    expect(yaml.map(({ key }) => key)).toEqual(
      expect.arrayContaining(['sinks', 'cloudflare.credentials', 'filters', 'archive']),
    );
  });

  test.for(
    examples.map((one) => [`${one.from}: ${one.name}=${one.value.slice(0, 60).replaceAll(/\s+/g, ' ')}`, one] as const),
  )('%s', async ([, { name, value }]) => await expectRuns(name, { [name]: filledIn(value) }));

  test.for(yaml.map(({ key, text }) => [key, text] as const))('docs/orgtrail.example.yaml: %s', async ([key, text]) => {
    const file = join(folder, `${key}.yaml`);
    writeFileSync(file, filledIn(text), { mode: 0o600 });
    await expectRuns(settingNames.find((name) => keyOf(name) === key) ?? key, { ORGTRAIL_CONFIG: file });
  });
});

/*
 * From each example of a setting with a structure, as the pages have it, to a daemon that runs. What is looked for are forms: a new example is
 * started as well.
 */

interface Example {
  readonly name: string;
  readonly value: string;
  readonly from: string;
}

const evidence = () => ({
  ORGTRAIL_EVIDENCE_ORIGIN: 'audit.example.com/evidence',
  ORGTRAIL_EVIDENCE_KEY_FILE: join(folder, 'evidence-key.pem'),
});

const secretIn = (path: string): string => {
  if (path.includes('webhook')) return 'https://hooks.example.com/services/secret-of-the-test';
  if (path.includes('headers')) return 'x-api-key: secret-of-the-test';
  return 'secret-of-the-test-0123456789';
};

/** With the placeholders of the pages filled in, and files and directories of this machine in place of theirs. */
const filledIn = (text: string): string =>
  text
    .replaceAll('VKEY', vkey)
    .replaceAll('…', 'x'.repeat(20))
    .replaceAll(/\/(?:run\/secrets|etc\/orgtrail|mnt|var\/(?:log|lib)\/orgtrail)\/[^\s"',?&#\]}]*/g, (path) => {
      const here = join(folder, path);
      mkdirSync(dirname(here), { recursive: true });
      if (path.startsWith('/mnt/')) mkdirSync(here, { recursive: true });
      else if (/ca.*\.pem$/.test(path)) cpSync(join(folder, 'cert'), here);
      else if (!path.startsWith('/var/')) writeFileSync(here, secretIn(path), { mode: 0o600 });
      return here;
    });

/** The daemon runs with these settings, without those of the world that they take the place of. */
const expectRuns = async (name: string, settings: Readonly<Record<string, string>>): Promise<void> => {
  const env: Record<string, string> = { ...world.env };
  delete env[name];
  if (name.includes('EVIDENCE') || JSON.stringify(settings).includes('checkpoints')) Object.assign(env, evidence());
  const daemon = startInProcess(['run'], { ...env, ...settings, ORGTRAIL_HTTP_PORT: '0' });
  const hasEnded = daemon.ended.then(() => true);
  const hasStarted = async () => daemon.stdout().includes('orgtrail started') || Promise.race([hasEnded, false]);
  await until('it has started', hasStarted);
  const url = /"url":"([^"]+)"/.exec(daemon.stdout())?.[1] ?? daemon.stderr();
  expect((await fetch(`${url}/livez`)).status).toBe(200);
  daemon.stop();
  await daemon.ended;
  expect(`${daemon.stdout()}${daemon.stderr()}`).not.toMatch(/TypeError|unexpected error/);
};
