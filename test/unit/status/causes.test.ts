import { readFileSync } from 'node:fs';
import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { createLogger } from '../../../src/app/telemetry/log.ts';
import { logCauses } from '../../../src/app/watch-causes.ts';
import type { EvidenceStatus } from '../../../src/evidence/stored/evidence-status.sql.ts';
import { databaseCause } from '../../../src/postgres/sql-state.ts';
import { alarmsOf, type Cause, type CauseFacts, causeText } from '../../../src/status/causes.ts';
import type { Report, SourceRow } from '../../../src/status/status-report.ts';
import { NOW_MS, report, sink, source } from '../../support/sync/status-report.ts';

const serverError = (code: string, message: string) => Object.assign(new Error(message), { code });
const at = new Date(NOW_MS - 60_000);
const failing = (lastFailure: string, lastError: string): Partial<SourceRow> => ({
  lastFailure,
  lastError,
  lastSuccessAt: at,
  failingLanes: [{ lane: 'live', failures: 3, lastFailure, lastError }],
});
const discovery = (more: Partial<Report['discovery']>): Partial<Report> => ({
  discovery: { ...report([]).discovery, ...more },
});
const evidence = (state: string) =>
  ({ state, stateReason: 'why', signedSecondsAgo: 60, anchors: [] }) as unknown as EvidenceStatus;
const writing = (code: string, message: string) => ({
  writing: { ...databaseCause(serverError(code, message)), since: at },
});

const fine = source('Alpha', 'fresh');
const REFUSED = 'GET /organizations was answered with 403: 9109 Invalid access token';
const denied = (count: number) =>
  Array.from({ length: count }, (_, n) =>
    source(
      `Org ${n}`,
      'refused',
      failing('refused', `GET /organizations/id-Org ${n}/logs/audit was answered with 403`),
    ),
  );

/** What of the causes is shown, the first that is expected, and from when it is. */
// biome-ignore format: a table
const table: readonly [name: string, sources: readonly SourceRow[], more: Partial<Report>, known: Partial<CauseFacts>, expected: Partial<Cause>, what: RegExp][] = [
  ['a full disk', [fine], {}, writing('53100', 'could not extend file "base/5/16384": No space left on device'),
    { cause: 'database_full', state: 'failing', since: '2026-11-29T19:30:00Z' }, /^the disk of the database is full: could not extend/],
  ['a full disk at the connection', [fine], {}, writing('XX000', 'could not write init file'), { cause: 'database_full' }, /full/],
  ['a read-only database', [fine], {}, writing('25006', 'cannot execute INSERT in a read-only transaction'),
    { cause: 'database_read_only', state: 'failing' }, /^the database is read-only: cannot/],
  ['no connection', [fine], {}, writing('ECONNREFUSED', 'connect ECONNREFUSED'), { cause: 'database_unreachable' }, /does not answer/],
  ['another refusal', [fine], {}, writing('42501', 'permission denied'), { cause: 'database_refuses' }, /refuses to write: permission/],
  ['no daemon', [fine], { aliveSecondsAgo: 537 }, {},
    { cause: 'no_daemon', state: 'failing', since: '2026-11-29T19:22:03Z' }, /^no daemon has written for 8m 57s: is it running\?$/],
  ['a lost trail of access', [fine], {}, { accessTrouble: 'x' }, { cause: 'access_log_lost', state: 'failing' }, /cannot be written: x/],
  ['a credential refused everywhere', denied(24), discovery({ lastError: REFUSED }), {},
    { cause: 'credential_refused', state: 'refused', count: 24, since: '2026-11-29T19:30:00Z' }, /^the credential is refused everywhere, for all 24 logs: /],
  ['a credential refused at the first start', [], discovery({ lastError: REFUSED, ageSeconds: null }), {},
    { cause: 'credential_refused', count: 1, since: null }, /^the credential is refused everywhere: GET .* 9109 Invalid access token$/],
  ['a credential that is unknown', [source('Beta', 'failing', failing('unauthorized', '401'))], {}, {},
    { cause: 'credential_refused', count: 1 }, /for the only log: 401/],
  ['one log refused', [fine, ...denied(1)], {}, {}, { cause: 'access_lost', state: 'refused', count: 1 },
    /^Org 0 \(id-Org 0\): live fails: GET \/organizations\/ID\/logs\/audit was answered with 403$/],
  ['all logs refused, and the listing not', denied(5), {}, {}, { cause: 'access_lost', count: 5 }, /^5 logs \(Org 0, Org 1, Org 2 and 2 more\): /],
  ['a long wait', [fine], { requestsBlocked: { seconds: 598, because: 'retry_after' } }, {},
    { cause: 'requests_wait', state: 'behind' }, /^requests wait: 9m 58s more, .* limits them \(retry_after\), until 2026-11-29T19:40:58Z$/],
  ['short waits that make it late', [source('Late', 'behind', { lagSeconds: 400 })], { requestsBlocked: { seconds: 5, because: 'retry_after' } }, {},
    { cause: 'requests_wait' }, /5s more/],
  ['a budget that is used up', [source('Late', 'behind', { lagSeconds: 400 })], {}, { isBudgetUsedUp: true },
    { cause: 'requests_wait' }, /the 900 that ORGTRAIL_API_BUDGET allows/],
  ['a clock behind', [fine], { clockAheadSeconds: 3_600 }, {}, { cause: 'clocks_differ', state: 'behind' }, /the database is 1h behind Cloudflare/],
  ['a clock ahead', [fine], { clockAheadSeconds: -61 }, {}, { cause: 'clocks_differ' }, /the database is 1m 1s ahead of Cloudflare/],
  ['a listing that failed once', [fine], discovery({ lastError: '503', lastSuccessAt: at }), {},
    { cause: 'listing_fails', state: 'ok', since: '2026-11-29T19:30:00Z' }, /listing of organizations fails: 503/],
  ['a listing that fails for long', [fine], discovery({ lastError: '503', ageSeconds: 301 }), {}, { cause: 'listing_fails', state: 'behind' }, /503/],
  ['a short listing', [fine], discovery({ shortListings: [{ of: 'accounts', listings: 2, since: '2026-11-29T10:00:00Z', reason: '1 of 2' }] }), {},
    { cause: 'listing_incomplete', state: 'incomplete', count: 2 }, /in full \(2 listings\): 1 of 2/],
  ['accounts that may not be listed', [fine], discovery({ accountsRefused: '403' }), {}, { cause: 'accounts_refused', state: 'refused' }, /none of them is read: 403/],
  ['logs that fail alike', [fine, source('B', 'failing', failing('server', 'id-B: 503')), source('C', 'failing', failing('server', 'id-C: 503'))], {}, {},
    { cause: 'source_failing', state: 'failing', count: 2 }, /^2 logs \(B, C\): live fails: ID: 503$/],
  ['coverage of the future', [source('B', 'failing', { futureSeconds: 600 })], {}, {}, { cause: 'clock', state: 'failing' }, /beyond now/],
  ['loss that is near', [source('B', 'behind', { retentionSlackSeconds: 9 })], {}, {}, { cause: 'loss_near', state: 'behind' }, /soon delete/],
  ['the same of a first reading', [source('B', 'behind', { retentionSlackSeconds: 9, firstReading: true })], {}, {}, { cause: 'loss_near', state: 'ok' }, /soon/],
  ['a hole', [source('B', 'incomplete', { holes: 1 })], {}, {}, { cause: 'coverage_hole', state: 'incomplete' }, /may be missing there/],
  ['what is gone', [fine], { vanished: [{ organizationId: 'g', organizationName: 'Gone', isReadOn: false, goneAt: at, goneSeconds: 60 }] }, {},
    { cause: 'vanished', state: 'vanished', since: '2026-11-29T19:30:00Z' }, /^Gone \(g\): it is no longer listed/],
  ['entries that are late', [source('B', 'behind', { lagSeconds: 601 })], {}, {}, { cause: 'not_fresh', state: 'behind' }, /^B \(id-B\): the newest/],
  ['a sink stuck on an event', [fine], { sinks: [sink('siem', { failures: 4, lagEvents: 9, lastError: 'HTTP 500', lastSuccessAt: at })] }, {},
    { cause: 'sink_failing', about: 'siem', state: 'failing', since: '2026-11-29T19:30:00Z' }, /siem is stuck after position 7, 4 failures in a row, 9 events wait: HTTP 500/],
  ['a sink that is slow', [fine], { sinks: [sink('siem', { lagSeconds: 999, lagEvents: 9 })] }, {}, { cause: 'sink_behind', state: 'behind' }, /9 events wait/],
  ['retention that waits', [fine], { retentionWait: { reason: 'a restore', until: '2026-11-30T00:00:00Z', command: 'orgtrail hold confirm' } }, {},
    { cause: 'retention_waits', state: 'ok' }, /^retention drops nothing before 2026-11-30T00:00:00Z: a restore$/],
  ['months that stay', [fine], {}, { archive: { waitingMonths: 2, faultyObjects: 0 } }, { cause: 'retention_held_up', state: 'ok', count: 2 }, /: 2$/],
  ['a faulty archive', [fine], {}, { archive: { waitingMonths: 0, faultyObjects: 3 } }, { cause: 'archive_faulty', state: 'failing', count: 3 }, /: 3$/],
  ['evidence that stopped', [fine], {}, { evidence: evidence('halted') }, { cause: 'evidence_halted', state: 'failing', since: '2026-11-29T19:30:00Z' }, /\(halted\): why$/],
  ['evidence without an anchor', [fine], {}, { evidence: evidence('ok') }, { cause: 'evidence_unanchored', state: 'ok' }, /no anchor/],
];

test.each(table)('%s is one cause', (_name, sources, more, known, expected, what) => {
  const { causes } = report(sources, more, known);
  expect(causes).toEqual([expect.objectContaining({ ...expected, what: expect.stringMatching(what) })]);
  expect(causes[0]?.action).toMatch(/\S/);
});

test('each cause is in the table of docs/operations/troubleshooting.md', () => {
  const page = readFileSync(new URL('../../../docs/operations/troubleshooting.md', import.meta.url), 'utf8');
  for (const [, , , , { cause }] of table) expect(page).toContain(`\`${cause}\``);
});

test('nothing wrong has no cause, nor has what is too little to notice', () => {
  const more = { clockAheadSeconds: 60, aliveSecondsAgo: 45, requestsBlocked: { seconds: 60, because: 'retry_after' } };
  expect(report([fine, source('Delta', 'quiet')], more, { isBudgetUsedUp: true }).causes).toEqual([]);
  expect(report([fine], { aliveSecondsAgo: null }).causes).toEqual([]);
});

test('a cause hides what follows from it: a failed write that no daemon writes, a refused credential the listing, a wait what is throttled', () => {
  const names = (of: Report) => of.causes.map(({ cause }) => cause);
  expect(names(report([fine], { aliveSecondsAgo: 900 }, writing('53100', 'full')))).toEqual(['database_full']);
  expect(names(report(denied(3), discovery({ lastError: REFUSED, ageSeconds: 900 })))).toEqual(['credential_refused']);
  const throttled = source('B', 'failing', failing('throttled', '429'));
  expect(names(report([throttled], { requestsBlocked: { seconds: 90, because: 'retry_after' } }))).toEqual([
    'requests_wait',
  ]);
});

test('an alarm for each name, two causes of one name are one alarm; a line has what to try', () => {
  const logs = [source('A', 'failing', failing('server', '503')), source('B', 'failing', failing('timeout', 'slow'))];
  const { causes } = report(logs, { sinks: [sink('a', { failures: 1 }), sink('b', { failures: 1 })] });
  expect(alarmsOf(causes).map(({ alarm, summary }) => [alarm, summary.endsWith(', and 1 more')])).toEqual([
    ['source_failing', true],
    ['sink_failing a', false],
    ['sink_failing b', false],
  ]);
  expect(causeText({ what: 'the disk is full', since: '2026-11-29T19:30:00Z', action: 'give it room' })).toBe(
    'the disk is full (since 2026-11-29T19:30:00Z). Try: give it room',
  );
});

test('the log says each cause once when it begins and when it is over, and sums up what lasts once an hour', () => {
  let nowMs = 0;
  const lines: Record<string, unknown>[] = [];
  const destination = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      for (const line of chunk.toString('utf8').trim().split('\n')) lines.push(JSON.parse(line));
      done();
    },
  });
  const log = logCauses(createLogger({ level: 'info', format: 'json', destination, secrets: [] }), () => nowMs);
  const { causes } = report([fine], { aliveSecondsAgo: 900 });
  for (let minute = 0; minute <= 60; minute += 1) {
    nowMs = minute * 60_000;
    log(causes);
  }
  log([], false);
  log([]);
  log([]);
  expect(lines).toMatchObject([
    {
      level: 'error',
      cause: 'no_daemon',
      since: '2026-11-29T19:16:00Z',
      action: expect.any(String),
      msg: expect.stringMatching(/^no daemon/),
    },
    { level: 'warn', causes: ['no_daemon'] },
    { level: 'info', cause: 'no_daemon', lastedSeconds: 3_600, msg: expect.stringMatching(/^over: no daemon/) },
  ]);
});
