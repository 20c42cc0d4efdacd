import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Pool } from 'pg';
import { expect, test } from 'vitest';
import { judgedSound, worldOfEachTest } from '../../support/evidence/evidence-world.ts';
import { commit, newSource } from '../../support/postgres/store-fixture.ts';

const world = worldOfEachTest();

test('after a month is dropped, neither database nor bundle has a byte by which a guess of an event could be tested', async () => {
  const { pool } = world;
  await world.allowDrops();
  const early = Array.from({ length: 300 }, (_, index) => entry(index, Date.UTC(2025, 0, 5), SECRET));
  const late = Array.from({ length: 30 }, (_, index) =>
    entry(1_000 + index, Date.UTC(2025, 1, 5), 'j.doe@example.com'),
  );
  await commit(pool, await newSource(pool, 'a'), [...early, ...late]);
  await world.build();
  const { rows } = await pool.query<{ raw: string; key: Buffer }>(
    `select e.raw::text as raw, k.key from audit_events e, evidence_month_keys k where e.position = 7 and k.month = '2025-01'`,
  );
  const [raw = '', key] = [rows[0]?.raw, rows[0]?.key.toString('hex') ?? ''];
  // Before it is dropped, the search finds what it looks for.
  const needles = [...traces(raw), key];
  expect(await tablesWith(pool, traces(raw))).toEqual(['audit_events_2025_01']);
  expect(await tablesWith(pool, [key])).toEqual(['evidence_month_keys']);
  const { folder: whole } = await world.export();
  expect(filesWith(whole, needles)).toEqual([join(whole, 'events/payload/000000.oev')]);

  expect(await world.drop('2025-01')).toBeNull();
  await world.build();
  expect(await tablesWith(pool, needles)).toEqual([]);
  const { folder: bundle } = await world.export();
  expect(filesWith(bundle, needles)).toEqual([]);
  const { node } = await judgedSound(bundle);
  expect(node.claims).toContain('of 330 events 30 are as they were hashed, 300 were dropped as stated');
});

/** What an attacker guesses. Nothing that is left may say whether the guess is right. */
const SECRET = 'the-guess-of-an-attacker@example.com';

const entry = (number: number, atMs: number, email: string): string =>
  JSON.stringify({ id: `id-${number}`, action: { time: new Date(atMs).toISOString() }, actor: { email } });

/** The ways in which an event could be recognized, as text. */
const traces = (raw: string): readonly string[] => {
  const digest = createHash('sha256').update(raw).digest();
  return [SECRET, digest.toString('hex'), digest.toString('base64'), digest.toString('latin1')];
};

/** Tables that have one of the traces in any column. */
const tablesWith = async (pool: Pool, needles: readonly string[]): Promise<readonly string[]> => {
  const { rows: tables } = await pool.query<{ name: string }>(
    `select c.oid::regclass::text as name from pg_class c where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace order by 1`,
  );
  const found: string[] = [];
  for (const { name } of tables) {
    const { rows } = await pool.query<{ text: string }>(`select t::text as text from ${name} t`);
    if (rows.some(({ text }) => needles.some((needle) => text.includes(needle)))) found.push(name);
  }
  return found;
};

const filesWith = (folder: string, needles: readonly string[]): readonly string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile() && file.name !== 'verify.py')
    .map(({ parentPath, name }) => join(parentPath, name))
    .filter((path) => {
      const text = readFileSync(path, 'latin1');
      return needles.some((needle) => text.includes(needle));
    });
