import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { newSigner, openBuilder } from '../../support/evidence/builder-world.ts';
import { type RecordedAnswer, startRecordingProxy } from '../../support/network/recording-proxy.ts';
import { openWorld, type SyncWorld } from '../../support/sync/sync-world.ts';

test('each walk that is claimed has a row that tells of all its answers, also one that took several turns, and its proof', async () => {
  // More pages than a turn has, and a log of one page that may be cut, which must be proven.
  await using world = await openWorld({ organizations: 27, entries: 6_000, pageCap: 60, distribution: 'zipf' });
  await using proxy = await startRecordingProxy(world.simulator.baseUrl);
  await openBuilder(world.database.pool, newSigner()).build();
  await using run = await world.open({ CLOUDFLARE_BASE_URL: proxy.baseUrl });
  expect(await run.sync()).toMatchObject({ failed: [], finished: true });
  const rows = await rowsOf(world);
  expectRecorded(rows, proxy.answers);
  expect(Math.max(...rows.map(({ pages }) => pages))).toBeGreaterThan(20);
  expect(rows.some(({ answers, pages }) => answers > pages)).toBe(true);
  expect(rows.every((row) => row.first_cf_ray !== null && row.last_date !== null)).toBe(true);
  expect(rows.reduce((sum, { entries }) => sum + entries, 0)).toBeGreaterThanOrEqual(6_000);
});

test('answers without a CF-Ray are recorded without one', async () => {
  await using world = await openWorld({ organizations: 1, entries: 100 });
  await using proxy = await startRecordingProxy(world.simulator.baseUrl);
  await openBuilder(world.database.pool, newSigner()).build();
  await using run = await world.open({ CLOUDFLARE_BASE_URL: proxy.baseUrl });
  proxy.strip('cf-ray');
  expect(await run.sync()).toMatchObject({ failed: [], finished: true });
  const rows = await rowsOf(world);
  expectRecorded(rows, proxy.answers);
  expect(rows.every(({ first_cf_ray: ray, first_date: date }) => ray === null && date !== null)).toBe(true);
});

const sha256 = (...parts: readonly Uint8Array[]): Buffer => createHash('sha256').update(Buffer.concat(parts)).digest();

interface ReadRow {
  readonly source_id: string;
  readonly pages: number;
  readonly entries: number;
  readonly answers: number;
  readonly first_date: string | null;
  readonly first_cf_ray: string | null;
  readonly last_date: string | null;
  readonly last_cf_ray: string | null;
  readonly bodies_sha256: string;
}

const rowsOf = async ({ database }: SyncWorld): Promise<ReadRow[]> => {
  const { rows } = await database.pool.query<{ text: string }>(
    'select orgtrail_read_text(r) as text from evidence_reads r order by source_kind, source_id, number',
  );
  return rows.map(({ text }) => JSON.parse(text) as ReadRow);
};

const instantOf = (date: string | null): string | null =>
  date === null ? null : new Date(date).toISOString().replace('Z', '000Z');

/** What the record must say of these answers, of whose pages some were questions. */
const recordOf = (answers: readonly RecordedAnswer[]): Omit<ReadRow, 'source_id' | 'pages' | 'entries'> => ({
  answers: answers.length,
  first_date: instantOf(answers[0]?.date ?? null),
  first_cf_ray: answers[0]?.cfRay ?? null,
  last_date: instantOf(answers.at(-1)?.date ?? null),
  last_cf_ray: answers.at(-1)?.cfRay ?? null,
  bodies_sha256: answers
    .reduce<Buffer>((before, { body }) => sha256(before, sha256(body)), Buffer.alloc(32))
    .toString('hex'),
});

/** Asserts that the rows tell of all answers of the logs, in their order; returns how many rows there are. */
const expectRecorded = (rows: readonly ReadRow[], answers: readonly RecordedAnswer[]): void => {
  const left = Map.groupBy(
    answers.filter(({ path }) => path.includes('/logs/audit')),
    ({ path }) => path.split('/')[4] ?? '',
  );
  for (const { source_id: id, pages, entries, ...row } of rows) {
    expect(pages).toBeLessThanOrEqual(row.answers);
    expect(entries).toBeGreaterThanOrEqual(0);
    expect(row).toMatchObject(recordOf(left.get(id)?.splice(0, row.answers) ?? []));
  }
  expect([...left.values()].flat()).toEqual([]);
};
