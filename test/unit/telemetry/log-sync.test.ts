import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { createLogger } from '../../../src/app/telemetry/log.ts';
import { logSync } from '../../../src/app/telemetry/log-sync.ts';
import { createSyncTrouble } from '../../../src/app/watch-causes.ts';
import type { LateEntries } from '../../../src/ingest/planning/source.ts';
import { type Names, noNames } from '../../../src/search/names/names.sql.ts';

test('what the last pass finds, and what it could not have found, is warned of once per source and day', () => {
  const { observer, warnings, advance } = logged();
  observer.pageCommitted?.(page('a', { foundBy: { 1: 5 } }));
  expect(warnings()).toEqual([]);
  for (const _ of ['first', 'second']) {
    observer.pageCommitted?.(page('a', { foundBy: { 2: 3 }, byLastPass: 3 }));
    observer.pageCommitted?.(page('a', { beyondLastPass: 2 }));
  }
  observer.pageCommitted?.(page('b', { foundBy: { 2: 1 }, byLastPass: 1 }));
  // biome-ignore format: a table
  expect(warnings()).toMatchObject([
    { source: 'a', byLastPass: 3, msg: expect.stringMatching(/the final re-read found new entries.*ORGTRAIL_SETTLE/) },
    { source: 'a', beyondLastPass: 2, msg: expect.stringContaining('late entries arrived after the final re-read and were found only by chance') },
    { source: 'b', byLastPass: 1 },
  ]);
  advance(dayMs - 1);
  observer.pageCommitted?.(page('a', { byLastPass: 1 }));
  expect(warnings()).toEqual([]);
  advance(1);
  observer.pageCommitted?.(page('a', { byLastPass: 1 }));
  expect(warnings()).toHaveLength(1);
});

test('unread time near the end of the retention is warned of once a day from the second hour on, and again when urgent', () => {
  const { observer, warnings, advance } = logged();
  const plan = (...near: readonly (readonly [id: string, slackDays: number])[]) =>
    observer.jobsPlanned?.({
      sources: 3,
      due: [],
      nearRetention: near.map(([id, days]) => ({ source: source(id), slackMs: days * dayMs })),
    });
  plan(['a', 20], ['first', 0]);
  expect(warnings(), 'a first backfill reads it by itself').toEqual([]);
  advance(hourMs);
  plan(['a', 20], ['b', 20]);
  // biome-ignore format: a table
  expect(warnings()).toMatchObject([
    { source: 'a', retentionSlackSeconds: 20 * 86_400, urgent: false, msg: 'unread audit logs will be deleted by Cloudflare in 20d' },
  ]);
  advance(hourMs);
  plan(['a', 20], ['first', 0]);
  expect(warnings(), 'b has been read; the first one is near again, but not for an hour').toEqual([]);
  advance(hourMs);
  plan(['a', 6.9], ['first', 0]);
  expect(warnings()).toMatchObject([
    { source: 'a', urgent: true },
    { source: 'first', urgent: true, msg: 'unread audit logs are being deleted by Cloudflare now' },
  ]);
  advance(dayMs);
  plan(['a', 6]);
  expect(warnings()).toMatchObject([{ source: 'a', urgent: true }]);
});

test('an organization that is gone is warned of; one that listings miss but that is pulled on, once a day', () => {
  const { observer, warnings, advance } = logged();
  observer.organizationChanged?.({ organizationId: 'a', change: 'renamed' });
  expect(warnings()).toEqual([]);
  observer.organizationChanged?.({ organizationId: 'a', change: 'gone' });
  for (const _ of ['first', 'second']) observer.missedButOpen?.({ organizationId: 'b' });
  expect(warnings()).toMatchObject([
    { organizationId: 'a', msg: 'organization gone' },
    { organizationId: 'b', msg: expect.stringContaining('its audit log answers') },
  ]);
  advance(dayMs);
  observer.missedButOpen?.({ organizationId: 'b' });
  expect(warnings()).toHaveLength(1);
});

test('a hole is an error when it is found, and no news when it is retried', () => {
  const { observer, warnings } = logged('debug');
  const hole = { range: { fromMs: 1_000, toMs: 2_000 }, pass: 0, reason: 'server_error', message: 'it answered 500' };
  observer.holeFound?.({ source: source('a'), ...hole });
  observer.holeFound?.({ source: source('a'), ...hole });
  observer.holeFound?.({ source: source('a'), ...hole, pass: 1 });
  observer.holeFound?.({ source: source('b'), ...hole });
  const facts = { since: '1970-01-01T00:00:01.000Z', before: '1970-01-01T00:00:02.000Z', message: 'it answered 500' };
  // biome-ignore format: a table
  expect(warnings()).toMatchObject([
    { level: 'error', source: 'a', ...facts, reason: 'server_error', msg: expect.stringMatching(/a hole: .*\. Entries/) },
    { level: 'info', source: 'a', ...facts },
    { level: 'error', source: 'a', pass: 1, msg: expect.stringContaining('Late entries may be missing') },
    { level: 'error', source: 'b' },
  ]);
});

test('a window that is halved is said at info, an end that was proven at debug', () => {
  const { observer, warnings } = logged('debug');
  const claim = { fromMs: 0, toMs: 8_000 };
  observer.windowNarrowed?.({ source: source('a'), lane: 'backfill', claim, reason: 'cut' });
  observer.walkEnded?.({ source: source('a'), lane: 'live', result: 'proven' });
  observer.walkEnded?.({ source: source('a'), lane: 'live', result: 'done' });
  expect(warnings()).toMatchObject([
    { level: 'info', lane: 'backfill', before: '1970-01-01T00:00:08.000Z', reason: 'cut' },
    { level: 'debug', lane: 'live', msg: expect.stringContaining('in doubt') },
  ]);
});

test('clocks that differ by more than a minute are warned of once a day and direction; so is coverage of the future, each time', () => {
  const { observer, warnings, advance } = logged();
  for (const aheadMs of [60_000, -60_000, 0]) observer.clocksCompared?.({ aheadMs });
  expect(warnings()).toEqual([]);
  for (const aheadMs of [3_600_000, 3_601_000, -61_000]) observer.clocksCompared?.({ aheadMs });
  expect(warnings()).toMatchObject([{ aheadMs: 3_600_000 }, { aheadMs: -61_000 }]);
  advance(dayMs);
  observer.clocksCompared?.({ aheadMs: 3_600_000 });
  expect(warnings()).toHaveLength(1);
  for (const rows of [2, 1]) observer.futureTrimmed?.({ rows });
  expect(warnings()).toMatchObject([{ rows: 2 }, { rows: 1 }]);
});

test('names of organizations stand beside their ids', () => {
  const { observer, warnings } = logged('info', { ...noNames, organization: acme, source: ({ id }) => acme(id) });
  const failed = { lane: 'live' as const, failure: 'server', message: '503', backoffMs: 1_000 };
  observer.sourceFailed?.({ source: source('a'), ...failed });
  observer.sourceFailed?.({ source: source('b'), ...failed, message: '504' });
  observer.organizationChanged?.({ organizationId: 'a', change: 'gone' });
  const lines = warnings();
  expect(lines).toMatchObject([
    { source: 'a', name: 'Acme' },
    { source: 'b' },
    { organizationId: 'a', name: 'Acme', msg: 'organization gone' },
  ]);
  expect(lines[1]).not.toHaveProperty('name');
  expect(lines[2]).not.toHaveProperty('change');
});

test('many new organizations of one listing are one line, few have a line each', () => {
  const { observer, warnings } = logged('info');
  const listed = (count: number, from: number) => {
    for (let index = from; index < from + count; index += 1)
      observer.organizationChanged?.({ organizationId: `o${index}`, change: 'appeared' });
    observer.discovered?.({ organizations: count, complete: true });
  };
  listed(300, 0);
  expect(warnings()).toMatchObject([
    { organizations: 300, first: ['o0', 'o1', 'o2', 'o3', 'o4'], msg: '300 organizations appeared' },
  ]);
  listed(2, 300);
  expect(warnings()).toMatchObject([
    { organizationId: 'o300', msg: 'organization appeared' },
    { organizationId: 'o301' },
  ]);
});

test('a listing that is short is told once for each change', () => {
  const { observer, warnings } = logged();
  const listed = (short?: string) =>
    observer.discovered?.({ organizations: 1, complete: short === undefined, ...(short !== undefined && { short }) });
  for (const short of ['1 of 2', '1 of 2', '1 of 3', undefined, '1 of 3']) listed(short);
  expect(warnings().map(({ reason }) => reason)).toEqual(['1 of 2', '1 of 3', '1 of 3']);
});

test('what appeared before a listing failed is still logged', () => {
  const { observer, warnings } = logged('info');
  observer.organizationChanged?.({ organizationId: 'a', change: 'appeared' });
  observer.discoveryFailed?.({ error: new Error('503') });
  expect(warnings()).toMatchObject([
    { organizationId: 'a', msg: 'organization appeared' },
    { reason: '503', msg: 'listing organizations failed' },
  ]);
});

test('entries with defects are summed: a line a minute at most', () => {
  const { observer, warnings, advance } = logged('info');
  const defective = (id: string) => observer.pageCommitted?.({ ...page(id, {}), defective: 2 });
  for (const id of ['a', 'b', 'c']) defective(id);
  expect(warnings()).toMatchObject([{ source: 'a', defective: 2, pages: 1 }]);
  advance(60_000);
  defective('d');
  expect(warnings()).toMatchObject([{ source: 'd', defective: 6, pages: 3 }]);
});

test('trouble with the log of an account says so, and is told apart from that of an organization with the same id', () => {
  const names = { ...noNames, source: ({ kind }: { kind: string }) => (kind === 'account' ? 'Shop' : 'Acme') };
  const { observer, warnings } = logged('warn', names);
  const failure = { lane: 'live' as const, failure: 'refused', message: 'no', backoffMs: 1_000 };
  observer.sourceFailed?.({ source: source('a'), ...failure });
  observer.sourceFailed?.({ source: { kind: 'account', id: 'a' }, ...failure });
  const [organization, account] = warnings();
  expect(organization).toMatchObject({ source: 'a', name: 'Acme', msg: expect.stringMatching(/for an organization;/) });
  expect(organization).not.toHaveProperty('kind');
  expect(account).toMatchObject({
    source: 'a',
    name: 'Shop',
    kind: 'account',
    msg: expect.stringMatching(/for an account;/),
  });
});

test('equal failures of several logs are a line a minute, with how many more there were', () => {
  const { observer, warnings, advance } = logged();
  const fail = (id: string) =>
    observer.sourceFailed?.({
      source: source(id),
      lane: 'live',
      failure: 'server',
      message: `${id}: 503`,
      backoffMs: 1,
    });
  for (const id of ['a', 'b', 'c']) fail(id);
  advance(60_000);
  fail('b');
  expect(warnings()).toMatchObject([{ source: 'a' }, { source: 'b', more: 2 }]);
});

const acme = (id: string) => (id === 'a' ? 'Acme' : undefined);
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** The log of syncing with a clock that the test moves; `warnings` gives what came since it was last asked. */
const logged = (level: 'warn' | 'info' | 'debug' = 'warn', names: Names = noNames) => {
  let nowMs = 0;
  let lines: string[] = [];
  const destination = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      lines.push(...chunk.toString('utf8').trim().split('\n'));
      done();
    },
  });
  const logger = createLogger({ level, format: 'json', destination, secrets: [] });
  return {
    observer: logSync(logger, () => nowMs, names),
    advance: (ms: number) => {
      nowMs += ms;
    },
    warnings: (): Record<string, unknown>[] => {
      const taken = lines.map((line) => JSON.parse(line));
      lines = [];
      return taken;
    },
  };
};

const source = (id: string) => ({ kind: 'organization', id });

const page = (id: string, late: Partial<LateEntries>) => ({
  source: source(id),
  lane: 'settle' as const,
  entries: 9,
  stored: 5,
  duplicates: 4,
  changed: 0,
  defective: 0,
  latenessSeconds: [],
  covered: [],
  late: { foundBy: {}, byLastPass: 0, beyondLastPass: 0, ...late },
});

test('the trouble that readiness shows is the latest reason, for two ticks', () => {
  let nowMs = 0;
  const trouble = createSyncTrouble(1_000, () => nowMs);
  for (const reason of ['the first', 'the second']) trouble.failed(new Error(reason));
  nowMs = 2_000;
  expect(trouble.current()).toMatchObject({ cause: 'database_refuses', reason: 'the second' });
  nowMs = 2_001;
  expect(trouble.current()).toBe(undefined);
});
