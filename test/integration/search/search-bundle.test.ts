import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { bundleWriterOf } from '../../../src/evidence/export/export-bundle.ts';
import { openFolder } from '../../../src/evidence/files/folder-reader.ts';
import { FolderWriter } from '../../../src/evidence/files/folder-writer.ts';
import { writeSearchBundle } from '../../../src/search/bundle/write-search-bundle.ts';
import { readSearch } from '../../../src/search/query/search.ts';
import { readAccessLog, untilNoted } from '../../support/accounts/access-log.ts';
import { createLogin } from '../../support/accounts/login.ts';
import { newSigner, openBuilder } from '../../support/evidence/builder-world.ts';
import { poolOfWorld } from '../../support/postgres/pool-of-tests.ts';
import { exits } from '../../support/process/exits.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { until } from '../../support/process/until.ts';
import { defectiveText, hostileText } from '../../support/search/search-entries.ts';
import { serve } from '../../support/sync/served.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

const at = new Date(Date.now() - 3_600_000).toISOString();
/** JSON may have line breaks between its tokens, and numbers that no program keeps. */
const broken = `{"id":"broken-entry",\r\n  "action":{"type":"create","result":"success","time":"${at}"},\n "n": ${'9'.repeat(5_000)}, "t":"\u2028,\\"raw\\":"}`;
let folder: string;

/** 63 stored events, three of them hostile, and an account that may read the log, if there is one. */
const world = forAllTests(() => openWorld({ organizations: 2, entries: 60 }));
const pool = poolOfWorld(world);
const login = forAllTests(() => createLogin(world.database, ['orgtrail_ingest', 'orgtrail_evidence']));
const own = () => ({ DATABASE_URL: login.url, ORGTRAIL_EVIDENCE_ORIGIN: 'audit.example.com/evidence' });
const run = forAllTests(() => world.open(own()));
beforeAll(async () => {
  const [organization] = world.simulator.summary().organizations;
  world.simulator.append(organization?.id ?? '', [hostileText, defectiveText, broken]);
  await run.cycle();
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'orgtrail-search-'));
});
afterEach(async () => await rm(folder, { recursive: true, force: true }));

test('there is none without a log of evidence', async () => {
  expect(await write()).toMatchObject(exits(2, 'there is no evidence in this database'));
});

describe('a search as a bundle', () => {
  beforeAll(async () => {
    await openBuilder(pool, newSigner()).build();
  });

  test('has exact originals, the question, what is not collected, and both verifiers judge it', async () => {
    const written = await write('--since', '30d');
    expect(written).toMatchObject({ code: 0, stderr: '' });
    expect(written.stdout).toMatch(/63 events[\s\S]*proven under the checkpoint of \d+ leaves/);
    const files = ['FORMAT.txt', 'README.txt', 'checkpoint', 'completeness.json', 'leaves', 'policy.txt', 'query.json'];
    expect(readdirSync(join(folder, 'bundle')).sort()).toEqual([
      ...files,
      'selection.json',
      'statements.ndjson',
      'verify.py',
    ]);
    const { rows } = await pool.query<{ raw: string }>('select raw::text as raw from audit_events');
    const records = readFileSync(inBundle('leaves/000000.bin'));
    for (const { raw } of rows) expect(records.includes(raw)).toBe(true);
    expect(json('query.json')).toMatchObject({
      query: { since: expect.stringMatching(/Z$/) },
      asked_by: { by: 'command', name: login.name },
      events: 63,
      not_signed: 0,
    });
    expect(read('README.txt')).toContain('That these are all that match is what orgtrail answered');
    expect(inShell(listed)).toBe('');
    expect([(await verify()).code, byVerifyPy().code]).toEqual([0, 0]);
    writeFileSync(
      inBundle('leaves/000000.bin'),
      Buffer.from(String(records.toString('latin1')).replace('broken-entry', 'brOken-entry'), 'latin1'),
    );
    expect([(await verify()).code, byVerifyPy().code]).toEqual([5, 5]);
  });

  test('that finds nothing says why, and verifies', async () => {
    await write('--action', 'no-such-action');
    expect(json('completeness.json')).toMatchObject({ complete: false, incomplete_because: ['value_never_occurs'] });
    expect(await verify()).toMatchObject({ code: 0 });
    expect(byVerifyPy().code).toBe(0);
  });

  test('says its question in words and in each way to ask it again, and no question can look like a line of README.txt', async () => {
    const forged = `x\n${'0'.repeat(64)}  verify.py\\u202e`;
    await write('--since', '2026-01-01', '--text', forged, 'action:create,del* -result:failure');
    const question = json('query.json');
    expect(question.words).toEqual([
      'at 2026-01-01T00:00:00Z or later',
      `the entry contains ${JSON.stringify(forged)}`,
      'the action is "create" or "del*" (* is any text)',
      'the result is not "failure"',
    ]);
    expect(question.line).toContain('action:create,del* -result:failure');
    expect(question.address).toMatch(/^\/events\?since=2026-01-01T00%3A00%3A00Z&text=x%0A0000/);
    expect(question.command).toMatch(/^orgtrail search /);
    expect(read('README.txt')).toContain('\n                and the action is "create" or "del*" (* is any text)\n');
    expect(read('README.txt')).toMatch(/^Complete {12}(yes, up to 20\S+Z|no: )/m);
    expect(read('README.txt')).not.toMatch(/^0{64}|\u202e/m);
    expect(inShell(listed)).toBe('');
    expect([(await verify()).code, byVerifyPy().code]).toEqual([0, 0]);
  });

  test('is one file if its name ends so, which another program unpacks', async () => {
    const file = join(folder, 'my case.zip');
    const written = await runInProcess(['search', '--bundle', file], { ...world.env, ...own() });
    expect(written).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('63 events') });
    expect(readdirSync(folder)).toEqual(['my case.zip']);
    expect(await runInProcess(['search', '--bundle', file], { ...world.env, ...own() })).toMatchObject(
      exits(2, 'exists already'),
    );
    unpack(file, 'my_case');
    expect([(await verify()).code, byVerifyPy().code]).toEqual([0, 0]);
  });

  test('that is full leaves out the oldest, and says so everywhere', async () => {
    const { rows } = await pool.query<{ position: number }>(
      'select position::float8 as position from audit_events order by action_time desc, position desc',
    );
    const newest = rows[10]?.position;
    await writeLimited({ maxEvents: 10, maxEventBytes: 2 ** 30 });
    expect(json('query.json')).toMatchObject({ events: 10, newest_left_out: { position: newest } });
    expect(json('completeness.json')).toMatchObject({
      complete: false,
      incomplete_because: ['older_events_left_out'],
      newest_left_out: { position: newest },
    });
    expect(read('README.txt')).toMatch(/^Events {14}10, the newest that match\. Older ones are LEFT OUT/m);
    await rm(join(folder, 'bundle'), { recursive: true });
    await writeLimited({ maxEvents: 10, maxEventBytes: 10 });
    expect(json('completeness.json')).toMatchObject({ incomplete_because: ['older_events_left_out'], empty: null });
    expect([(await verify()).code, byVerifyPy().code]).toEqual([0, 0]);
  });

  test('is not written if an event is not the one that was signed, if there is a folder, or without the right', async () => {
    mkdirSync(join(folder, 'bundle'));
    copyFileSync(new URL(import.meta.url), inBundle('mine'));
    expect(await write()).toMatchObject(exits(2, 'is not empty'));
    await rm(join(folder, 'bundle'), { recursive: true });
    const plain = await runInProcess(['search', '--bundle', join(folder, 'bundle')], world.env);
    expect(plain).toMatchObject(exits(2, 'orgtrail_evidence'));
    for (const more of ['--ndjson', '--cursor=x', '--history-of=1']) expect((await write(more)).code).toBe(2);
    await withChangedEvent(async () => {
      expect(await write()).toMatchObject(exits(5, 'what is stored is not what was signed'));
    });
    expect(readdirSync(folder)).toEqual([]);
  });

  describe('in the console', () => {
    const served = forAllTests(() => serve(run));

    const get = (path: string) => fetch(`${served.server.url}${path}`, { redirect: 'manual' });

    test('is an archive that another program unpacks and the command verifies, and is noted as an export with its events', async () => {
      const page = await (await get('/events?result=success&since=30d')).text();
      expect(page).toContain('href="/events/bundle?since=30d&amp;result=success"');
      const response = await get('/events/bundle?since=30d&result=success');
      expect(response.status).toBe(200);
      expect(response.headers.get('content-type')).toBe('application/zip');
      expect(response.headers.get('content-disposition')).toMatch(
        /^attachment; filename="orgtrail-search-[\dTZ-]+\.zip"$/,
      );
      const [, name = ''] = /"(.*)\.zip"/.exec(response.headers.get('content-disposition') ?? '') ?? [];
      writeFileSync(join(folder, 'case.zip'), Buffer.from(await response.arrayBuffer()));
      unpack(join(folder, 'case.zip'), name);
      const { query, asked_by, events, address } = json('query.json');
      expect(address.replace(/since=[^&]*/, '')).toBe(`${served.server.url}/events?&result=success`);
      expect([query.result, asked_by]).toEqual(['success', { by: 'console', name: null }]);
      expect(await verify()).toMatchObject({ code: 0 });
      expect(byVerifyPy().code).toBe(0);
      const noted = { kind: 'export', route: 'GET /events/bundle' };
      await untilNoted(pool, { ...noted, outcome: 'begun' });
      expect(await untilNoted(pool, { ...noted, outcome: 'ok' })).toMatchObject({
        events,
        what: { since: '30d', result: 'success' },
      });
    });

    test('is refused for a question that cannot be read, and for events that are not those that were signed', async () => {
      const exports = async () => (await readAccessLog(pool)).filter(({ kind }) => kind === 'export');
      const before = await exports();
      for (const query of ['acton=create', 'since=soon', 'format=csv', 'organization=no-such-organization']) {
        expect((await get(`/events/bundle?${query}`)).status, query).toBe(400);
      }
      await withChangedEvent(async () => {
        const response = await get('/events/bundle');
        expect([response.status, await response.text()]).toEqual([
          409,
          expect.stringContaining('The evidence does not hold: what is stored is not what was signed'),
        ]);
      });
      expect(await exports()).toEqual(before);
    });
  });

  test('names events that are not signed yet, and what had not been collected', async () => {
    const [organization] = world.simulator.summary().organizations;
    const entry = { id: 'later', action: { type: 'create', result: 'success', time: new Date().toISOString() } };
    world.simulator.append(organization?.id ?? '', [JSON.stringify(entry)]);
    await until('the later entry is stored', async () => {
      // What counts as unread is read again.
      await pool.query("update coverage set ranges = '{}' where pass = 0");
      await run.cycle();
      const { rows } = await pool.query("select from audit_events where id = 'later'");
      return rows.length === 1;
    });
    await pool.query(
      `update coverage set ranges = ranges - tstzmultirange(tstzrange(now() - interval '10 hours', now() - interval '9 hours'))
       where source_id = $1 and pass = 0`,
      [organization?.id],
    );
    await pool.query(
      `insert into coverage_holes (source_kind, source_id, filter_hash, pass, since, before, reason, message, next_attempt_at)
       select kind, id, filter_hash, 0, now() - interval '9 hours 30 minutes', now() - interval '9 hours 29 minutes', 'capped', $2, now()
       from sources where id = $1`,
      [organization?.id, '<b>one page</b>'],
    );
    const written = await write();
    expect(written.stdout).toMatch(/1 more are not signed yet[\s\S]*may be incomplete: time_not_collected/);
    const completeness = json('completeness.json');
    expect(completeness).toMatchObject({
      complete: false,
      incomplete_because: ['time_not_collected'],
      gaps: [{ organization_id: organization?.id }],
      holes: [{ source_id: organization?.id, reason: 'capped', message: '<b>one page</b>' }],
    });
    expect(completeness.not_collected_seconds).toBeGreaterThanOrEqual(3_600);
    expect(json('query.json')).toMatchObject({ events: 63, not_signed: 1 });
    expect([(await verify()).code, byVerifyPy().code]).toEqual([0, 0]);
  });
});

const inBundle = (name: string): string => join(folder, 'bundle', name);
const read = (name: string): string => readFileSync(inBundle(name), 'utf8');
const json = (name: string) => JSON.parse(read(name));

const write = (...args: string[]) =>
  runInProcess(['search', ...args, '--bundle', join(folder, 'bundle')], { ...world.env, ...own() });

const verify = () => runInProcess(['evidence', 'verify', join(folder, 'bundle'), '--json'], {});

/** The commands of README.txt, as they stand there. */
const inShell = (command: string): string =>
  execFileSync('bash', ['-ec', command], { cwd: join(folder, 'bundle'), encoding: 'utf8', stdio: 'pipe' });

/** The verifier that came with the bundle. */
const byVerifyPy = (...args: string[]) => {
  const { status, stdout } = spawnSync('python3', ['-B', inBundle('verify.py'), '--json', ...args], {
    encoding: 'utf8',
  });
  return { code: status, report: stdout === '' ? undefined : JSON.parse(stdout) };
};

/** With the parts of the daemon, as its account. */
const writeLimited = async (limits: { readonly maxEvents: number; readonly maxEventBytes: number }): Promise<void> => {
  const writer = new FolderWriter(join(folder, 'bundle'));
  const nowMs = Date.now();
  const parts = { ...limits, source: run.app.search, reading: readSearch({}, nowMs), version: '1.2.3', nowMs };
  const writeBundle = bundleWriterOf(run.app.database.pool);
  const askedBy = { by: 'command', name: null } as const;
  await writeSearchBundle(writer, { ...parts, writeBundle, askedBy }, () => openFolder(writer.folder));
  writer.finish();
};

/** What is stored at position 5 is not what was signed meanwhile. */
const withChangedEvent = async (work: () => Promise<void>): Promise<void> => {
  const { rows } = await pool.query('select raw::text from audit_events where position = 5');
  const store = (raw: string) => pool.query('update audit_events set raw = $1::text::json where position = 5', [raw]);
  await store('{"changed": true}');
  try {
    await work();
  } finally {
    await store(rows[0].raw);
  }
};

const unpack = (file: string, root: string): void => {
  execFileSync('python3', ['-m', 'zipfile', '-e', file, folder]);
  renameSync(join(folder, root), join(folder, 'bundle'));
};

const listed = "grep -E '^[0-9a-f]{64}  ' README.txt | sha256sum --check --quiet";
