import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { FolderWriter } from '../../../src/evidence/files/folder-writer.ts';
import { createShownEvidence } from '../../../src/evidence/shown-evidence.sql.ts';
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

test('a bundle without a log has the events and the list, and says that nothing is signed', async () => {
  const written = await write();
  expect(written).toMatchObject({ code: 0, stderr: '' });
  expect(written.stdout).toContain('nothing is signed');
  expect(readdirSync(join(folder, 'bundle')).sort()).toEqual([
    'README.txt',
    'completeness.json',
    'events.ndjson',
    'query.json',
    'verify.py',
  ]);
  expect(inShell(listed)).toBe('');
  expect(byVerifyPy()).toMatchObject({ code: 0, report: { holds: true, faults: [] } });
  const { code, stdout } = await verify();
  const report = JSON.parse(stdout);
  expect([code, report.claims.length]).toEqual([0, 1]);
  expect(report.not_claimed).toContain('that anything here is what was stored: nothing is signed');
  writeFileSync(inBundle('events.ndjson'), read('events.ndjson').replace('"type":"create"', '"type":"delete"'));
  expect((await verify()).code).toBe(5);
  expect(byVerifyPy().code).toBe(5);
});

describe('a search as a bundle', () => {
  beforeAll(async () => {
    await openBuilder(pool, newSigner()).build();
  });

  test('has exact originals, question, proofs and completeness, and verifies by each way that it names', async () => {
    const written = await write('--since', '30d');
    expect(written).toMatchObject({ code: 0, stderr: '' });
    expect(written.stdout).toContain('63 of them proven under the checkpoint of 63 positions');
    expect(readdirSync(join(folder, 'bundle')).sort()).toEqual([
      'README.txt',
      'checkpoint',
      'completeness.json',
      'events.ndjson',
      'policy.txt',
      'proofs.ndjson',
      'query.json',
      'verify.py',
    ]);
    const { rows } = await pool.query<{ position: number; raw: string }>(
      'select position::float8 as position, raw::text as raw from audit_events order by action_time desc, position desc',
    );
    const lines = linesOf('events.ndjson');
    expect(lines).toHaveLength(63);
    for (const [index, { position, raw }] of rows.entries()) {
      const line = lines[index] ?? '';
      expect(line.startsWith(`{"position":${position},`)).toBe(true);
      if (raw.includes('\n')) expect(JSON.parse(line).raw_text).toBe(raw);
      else expect(line.endsWith(`,"raw":${raw}}`)).toBe(true);
    }
    expect(json('query.json')).toMatchObject({
      query: { since: expect.stringMatching(/Z$/) },
      asked_by: { by: 'command', name: login.name },
      events: 63,
      not_signed: 0,
    });
    const { stdout, code } = await verify();
    const report = JSON.parse(stdout);
    expect([code, report.faults]).toEqual([0, []]);
    expect(report.claims).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^63 events are in audit\.example\.com/),
        expect.stringContaining('7 files'),
      ]),
    );
    expect(report.not_claimed).toEqual(
      expect.arrayContaining([expect.stringMatching(/^that these are all events that match/)]),
    );
    const other = byVerifyPy();
    expect([other.code, other.report.faults]).toEqual([0, []]);
    expect(other.report.claims).toEqual(
      expect.arrayContaining([expect.stringMatching(/^63 events are in audit\.example\.com/)]),
    );
    expect(byPython()).toMatch(/^63 events are in audit\.example\.com\/\S+ as it was among 63\n$/);
    expect(inShell(listed)).toBe('');
    const signature = /^ {7}T=\$\(mktemp -d\)[\s\S]*?-sigfile \$T\/signature$/m.exec(read('README.txt'))?.[0] ?? '';
    expect(inShell(signature)).toContain('Verified Successfully');
  });

  const changes: readonly (readonly [what: string, file: string, change: (text: string) => string])[] = [
    [
      'a content',
      'events.ndjson',
      (text) => text.replace(/^(?!.*"raw_text")(.*)"result":"success"/m, '$1"result":"failure"'),
    ],
    ['the content of an entry with line breaks', 'events.ndjson', (text) => text.replaceAll('broken-entry', 'b-entry')],
    ['a word beside it', 'events.ndjson', (text) => text.replace(/"source_id":"\w/, '"source_id":"_')],
    ['an event that is left out', 'events.ndjson', (text) => text.slice(text.indexOf('\n') + 1)],
    ['an event that is there twice', 'events.ndjson', (text) => text + text.slice(0, text.indexOf('\n') + 1)],
    ['a field more', 'events.ndjson', (text) => text.replace('{"position"', '{"actor":"x","position"')],
    ['a leaf', 'proofs.ndjson', (text) => text.replace(/"leaf":"(.{30})./, '"leaf":"$1_')],
    [
      'a hash',
      'proofs.ndjson',
      (text) => text.replace(/"hashes":\["(.{9})(.)/, (_, a, b) => `"hashes":["${a}${b === 'A' ? 'B' : 'A'}`),
    ],
    ['a size', 'checkpoint', (text) => text.replace('\n63\n', '\n64\n')],
    ['an event that is called unsigned', 'proofs.ndjson', (text) => text.replace(/"leaf":".*\]\}/, '"leaf":null}')],
    ['the key', 'policy.txt', (text) => text.replace(/\+[0-9a-f]{8}\+/, '+00000000+')],
  ];
  test('shows what was changed, also if the list was made again', async () => {
    await write();
    renameSync(join(folder, 'bundle'), join(folder, 'written'));
    for (const [what, name, change] of changes) {
      await rm(join(folder, 'bundle'), { recursive: true, force: true });
      cpSync(join(folder, 'written'), join(folder, 'bundle'), { recursive: true });
      const before = read(name);
      writeFileSync(inBundle(name), change(before));
      expect(read(name), what).not.toBe(before);
      expect((await verify()).code, what).toBe(5);
      const hash = inShell(`sha256sum ${name}`).slice(0, 64);
      writeFileSync(
        inBundle('README.txt'),
        read('README.txt').replace(new RegExp(`[0-9a-f]{64}(?=  ${name}$)`, 'm'), hash),
      );
      expect(inShell(listed), what).toBe('');
      const again = await verify();
      expect([again.code, JSON.parse(again.stdout).holds], what).toEqual([5, false]);
      const other = byVerifyPy();
      expect([other.code, other.report.holds], what).toEqual([5, false]);
    }
  });

  test('that finds nothing says why, and verifies', async () => {
    await write('--action', 'no-such-action');
    expect(json('completeness.json')).toMatchObject({ complete: false, incomplete_because: ['value_never_occurs'] });
    expect(await verify()).toMatchObject({ code: 0 });
    expect(byVerifyPy().code).toBe(0);
  });

  test('says its question in words and in each way to ask it again, and no question can look like a line of README.txt', async () => {
    const forged = `x\n${'0'.repeat(64)}  verify.py\n#begin\nprint(1)\u202e`;
    await write('--since', '2026-01-01', '--text', forged, 'action:create,del* -result:failure');
    const question = json('query.json');
    expect(question.words).toEqual([
      'at 2026-01-01T00:00:00Z or later',
      `the entry contains ${JSON.stringify(forged)}`,
      'the action is "create" or "del*" (* is any rest)',
      'the result is not "failure"',
    ]);
    expect(question.line).toContain('action:create,del* -result:failure');
    expect(question.address).toMatch(/^\/events\?since=2026-01-01T00%3A00%3A00Z&text=x%0A0000/);
    expect(question.command).toMatch(/^orgtrail search /);
    expect(read('README.txt')).toContain('\n                and the action is "create" or "del*" (* is any rest)\n');
    expect(read('README.txt')).toMatch(/^Complete {12}(yes, up to 20\S+Z|no: )/m);
    expect(read('README.txt')).not.toMatch(/^0{64}|^print\(1\)|\u202e/m);
    expect(inShell(listed)).toBe('');
    expect(byPython()).toMatch(/^0 events are in/);
    expect([(await verify()).code, byVerifyPy().code]).toEqual([0, 0]);
  });

  test('is one file if its name ends so, which another program unpacks', async () => {
    const file = join(folder, 'my case.zip');
    const written = await runInProcess(['search', '--bundle', file], { ...world.env, ...own() });
    expect(written).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('63 of them proven') });
    expect(readdirSync(folder)).toEqual(['my case.zip']);
    expect(await runInProcess(['search', '--bundle', file], { ...world.env, ...own() })).toMatchObject(
      exits(2, 'exists already'),
    );
    unpack(file, 'my_case');
    expect([(await verify()).code, byVerifyPy().code]).toEqual([0, 0]);
    for (const option of ['--anchor=x', '--organization=x', '--since=2026-01-01T00:00:00Z'])
      expect(byVerifyPy(option).code, option).toBe(2);
  });

  test('that is full leaves out the oldest, and says so everywhere', async () => {
    const { rows } = await pool.query<{ position: number }>(
      'select position::float8 as position from audit_events order by action_time desc, position desc',
    );
    const newest = rows[10]?.position;
    await writeLimited({ maxEvents: 10, maxEventBytes: 2 ** 30 });
    expect(linesOf('events.ndjson')).toHaveLength(10);
    expect(json('query.json')).toMatchObject({ events: 10, newest_left_out: { position: newest } });
    expect(json('completeness.json')).toMatchObject({
      complete: false,
      incomplete_because: ['older_events_left_out'],
      newest_left_out: { position: newest },
    });
    expect(read('README.txt')).toMatch(/^Events {14}10, the newest that match\. Older ones are LEFT OUT/m);
    const said = expect.arrayContaining([expect.stringContaining('not complete (older_events_left_out)')]);
    expect(JSON.parse((await verify()).stdout)).toMatchObject({ holds: true, not_claimed: said });
    expect(byVerifyPy()).toMatchObject({ code: 0, report: { not_claimed: said } });
    const bytes = linesOf('events.ndjson').slice(0, 3).join('\n').length + 1;
    await rm(join(folder, 'bundle'), { recursive: true });
    await writeLimited({ maxEvents: 10, maxEventBytes: bytes });
    expect(linesOf('events.ndjson').join('\n').length).toBeLessThanOrEqual(bytes);
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
      expect(await write()).toMatchObject(exits(5, 'event 5 is not in'));
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
      expect(linesOf('events.ndjson')).toHaveLength(events);
      expect(await verify()).toMatchObject({ code: 0 });
      expect(byVerifyPy().code).toBe(0);
      expect(byPython()).toMatch(new RegExp(`^${events} events are in`));
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
          expect.stringContaining('The evidence does not hold: event 5'),
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
    expect(written.stdout).toMatch(/1 not signed yet[\s\S]*may be incomplete: time_not_collected/);
    const completeness = json('completeness.json');
    expect(completeness).toMatchObject({
      complete: false,
      incomplete_because: ['time_not_collected'],
      gaps: [{ organization_id: organization?.id }],
      holes: [{ source_id: organization?.id, reason: 'capped', message: '<b>one page</b>' }],
    });
    expect(completeness.not_collected_seconds).toBeGreaterThanOrEqual(3_600);
    const { code, stdout } = await verify();
    expect(code).toBe(0);
    expect(JSON.parse(stdout).not_claimed).toEqual(
      expect.arrayContaining([
        'that all 64 events are in the log: 1 of them not signed yet',
        expect.stringMatching(/not complete \(time_not_collected\): \d+ seconds not collected, gaps: 1, holes: 1/),
      ]),
    );
    const other = byVerifyPy();
    expect([other.code, other.report.faults]).toEqual([0, []]);
    expect(other.report.not_claimed).toEqual(
      expect.arrayContaining([
        'That all 64 events are in the log: 1 of them were not signed yet.',
        expect.stringContaining('not complete (time_not_collected)'),
      ]),
    );
    expect(byPython()).toMatch(/^line 1 is not signed yet\n63 events are in/);
  });
});

const inBundle = (name: string): string => join(folder, 'bundle', name);
const read = (name: string): string => readFileSync(inBundle(name), 'utf8');
const json = (name: string) => JSON.parse(read(name));
const linesOf = (name: string): string[] => read(name).split('\n').slice(0, -1);

const write = (...args: string[]) =>
  runInProcess(['search', ...args, '--bundle', join(folder, 'bundle')], { ...world.env, ...own() });

const verify = () => runInProcess(['evidence', 'verify', join(folder, 'bundle'), '--json'], {});

/** The commands of README.txt, as they stand there. */
const inShell = (command: string): string =>
  execFileSync('bash', ['-ec', command], { cwd: join(folder, 'bundle'), encoding: 'utf8', stdio: 'pipe' });

const byPython = () =>
  inShell(`sed -n '/^#begin$/,/^#end$/p' README.txt > ../check.py && python3 ../check.py 2>&1 || echo FAILS`);

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
  await writeSearchBundle(writer, {
    ...limits,
    source: run.app.search,
    evidence: createShownEvidence(run.app.database.pool, true),
    reading: readSearch({}, nowMs),
    askedBy: { by: 'command', name: null },
    version: '1.2.3',
    nowMs,
  });
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
