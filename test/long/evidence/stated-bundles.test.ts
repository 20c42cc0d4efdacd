import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { verifyBundle } from '../../../src/evidence/verify/verify-bundle.ts';
import { newSigner, openBuilder } from '../../support/evidence/builder-world.ts';
import { storedBundle, writeBundle } from '../../support/evidence/bundles/stored-bundle.ts';
import { coverageStatements, stateOnce } from '../../support/evidence/stated-coverage.ts';
import { readerOf } from '../../support/evidence/test-history.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres/database.ts';
import { addSources, commit, entryText, seconds, T0, takeLease } from '../../support/postgres/store-fixture.ts';

const python = (...args: string[]) =>
  spawnSync('python3', ['-B', ...args], { encoding: 'utf8', env: { ...process.env, PYTHONUTF8: '1' } });
const isMissing = python('-c', 'import sys; sys.exit(sys.version_info < (3, 9))').status !== 0;
if (isMissing) console.warn('verify.py is left out: there is no python3 of 3.9 or later.');

const signer = newSigner();
let database: TestDatabase;
let folder: string;

const read = async (source: string, from: number, to: number): Promise<void> => {
  const entries = Array.from({ length: to - from }, (_, index) =>
    entryText(`${source}-${from + index}`, T0 + (from + index) * 1_000),
  );
  const lease = await takeLease(database.pool, source);
  await commit(database.pool, lease, entries, { claims: [seconds(from, to)] });
};

beforeAll(async () => {
  database = await createTestDatabase();
  folder = await mkdtemp(join(tmpdir(), 'orgtrail-stated-'));
  const { pool } = database;
  await addSources(pool, ['a', 'b', 'quiet']);
  const { build } = openBuilder(pool, signer, { coverage: stateOnce });
  for (let round = 0; round < 3; round += 1) {
    await read('a', 100 * round, 100 * round + 7);
    await read('b', 50 * round, 50 * round + 50);
    await pool.query('select orgtrail_ask_coverage(null, null)');
    await build();
  }
  expect(await coverageStatements(pool)).toHaveLength(9);
});
afterAll(async () => {
  await database?.close();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});

type Statement = Record<string, unknown>;

/** Changes the last statement about `a`. */
const changed = (change: (statement: Statement) => Statement) => (texts: readonly string[]) => {
  const index = texts.findLastIndex((text) => {
    const { type, source_id: id } = JSON.parse(text);
    return type === 'coverage' && id === 'a';
  });
  return texts.with(index, JSON.stringify(change(JSON.parse(texts[index] ?? ''))));
};

/** What both verifiers say of a bundle; verify.py only if there is a Python. */
const verdicts = async (edit?: (texts: readonly string[]) => readonly string[]) => {
  const files = await storedBundle(database.pool, signer, edit);
  const report = verifyBundle(readerOf(files));
  const own = { holds: report.holds, words: report.faults.map(({ message }) => message).join('\n') };
  if (isMissing) return [own];
  const bundle = await mkdtemp(join(folder, 'bundle-'));
  await writeBundle(bundle, files);
  const { status, stdout } = python('src/evidence/verify-bundle/verify.py', bundle, '--json');
  const { holds, faults } = JSON.parse(stdout);
  expect(status).toBe(holds ? 0 : 5);
  return [own, { holds, words: faults.map(({ text }: { text: string }) => text).join('\n') }];
};

describe('what the builder states', () => {
  test('is accepted', async () => {
    for (const verdict of await verdicts()) expect(verdict).toEqual({ holds: true, words: '' });
  });

  test.each([
    [
      'less is covered than before',
      (one: Statement) => ({ ...one, passes: [{ pass: 0, ranges: [] }] }),
      /no longer cover/,
    ],
    ['another chain', (one: Statement) => ({ ...one, chain: 'ab'.repeat(32) }), /chain/],
    ['one event more', (one: Statement) => ({ ...one, events: (one['events'] as number) + 1 }), /events/],
    ['one event less', (one: Statement) => ({ ...one, events: (one['events'] as number) - 1 }), /events/],
    ['a tree that never was', (one: Statement) => ({ ...one, tree: { ...(one['tree'] as object), size: 100 } }), /./],
  ])('with a change is a fault for both: %s', async (_name, change, words) => {
    for (const verdict of await verdicts(changed(change))) {
      expect(verdict.holds).toBe(false);
      expect(verdict.words).toMatch(words);
    }
  });

  test('with other filters covers less, and is accepted', async () => {
    const other = changed((one) => ({ ...one, filter: { text: 'x=y', hash: 'other' }, passes: [] }));
    for (const { holds } of await verdicts(other)) expect(holds).toBe(true);
  });
});
