import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EnginesWorld } from './engines-world.ts';
import type { FileColumn } from './file-rows.ts';
import { type Findings, listDifference } from './findings.ts';
import type { EngineReader } from './readers/engine-reader.ts';

const columns: readonly FileColumn[] = [
  { name: 'raw_data', type: 'text' },
  { name: 'class_uid', type: 'number' },
];

/** That with the defective entries. */
const MONTH = { since: '2024-03-01', before: '2024-04-01' };

/** Exports a month of OCSF for Security Lake and compares the raw texts of all its objects, by each reader. Also reads every nested column. */
export const compareLake = async (world: EnginesWorld, readers: readonly EngineReader[], findings: Findings) => {
  const directory = await mkdtemp(join(tmpdir(), 'orgtrail-engines-lake-'));
  try {
    const to = `file://${directory}/cloudflare-{class}`;
    const { since, before } = MONTH;
    await world.orgtrail(
      'archive',
      'security-lake',
      '--to',
      to,
      '--region',
      'lab',
      '--since',
      since,
      '--before',
      before,
    );
    const names = await readdir(directory, { recursive: true });
    const paths = names.filter((name) => name.endsWith('.parquet')).map((name) => join(directory, name));
    const expected = await rawTexts(world);
    for (const reader of readers) {
      await findings.attempt(`OCSF for Security Lake, ${paths.length} objects in ${reader.name}`, async () => {
        const found: (readonly [string | null | undefined])[] = [];
        for (const path of paths) {
          found.push(...(await reader.rowsOf(path, columns)).map(([raw]) => [raw] as const));
          await reader.readAll(path);
        }
        return listDifference(expected, found);
      });
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
};

/** An entry of too many levels is stored as a text of JSON. */
const rawTexts = async ({ pool }: EnginesWorld): Promise<readonly (readonly [string])[]> => {
  const { rows } = await pool.query<{ raw: string }>(
    'select raw::text as raw from audit_events where action_time >= $1 and action_time < $2',
    [MONTH.since, MONTH.before],
  );
  return rows.map(({ raw }) => [Buffer.from(raw.startsWith('"') ? JSON.parse(raw) : raw).toString('hex')] as const);
};
