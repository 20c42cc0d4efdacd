import { expect, it, test } from 'vitest';
import { ApiError, type ApiFailure } from '../../../src/base/errors.ts';
import { probeLogs } from '../../../src/cli/check/credentials.ts';
import { runCli } from '../../../src/cli/cli.ts';
import type { CliContext } from '../../../src/cli/command.ts';
import { lockNotes } from '../../../src/cli/commands/check.ts';
import { progressLine } from '../../../src/cli/commands/demo.ts';
import { type Comparison, judge, verdictText } from '../../../src/cli/demo/verdict.sql.ts';
import { visible } from '../../../src/cli/mcp/answer.ts';
import type { AuditApi } from '../../../src/ingest/sync/ports.ts';
import { countedLogs } from '../../../src/status/source-state.ts';
import type { Status } from '../../../src/status/status.sql.ts';
import { fails, type Report, statusText } from '../../../src/status/status-report.ts';
import { report, sink, source } from '../../support/sync/status-report.ts';

test('check says that there is too little room for locks once history has some years', () => {
  expect(lockNotes({ ...stock, months: 24, relations: 24 * 26 })).toEqual([]);
  expect(lockNotes({ ...stock, months: 49, relations: 49 * 26 })).toEqual([]);
  expect(lockNotes({ ...stock, months: 122, relations: 122 * 26 })).toEqual([
    'max_locks_per_transaction (64) is too small for 122 months, 3172 tables and indexes, if 10 statements look at all of them at once: set it to 256',
  ]);
  expect(lockNotes({ ...stock, perTransaction: 256, months: 122, relations: 122 * 26 })).toEqual([]);
});

/** Answers for the logs that fail; every other log is readable. */
const probe = async (failures: Readonly<Record<string, ApiFailure>>) => {
  const fetchPage = (source: { readonly id: string }) => {
    const failure = failures[source.id];
    return failure === undefined
      ? Promise.resolve({ entries: [] })
      : Promise.reject(new ApiError(failure, `${source.id}: ${failure}`));
  };
  const api = { fetchPage, nowMs: () => Date.UTC(2026, 5, 1) } as unknown as AuditApi;
  const owners = [{ id: 'a' }, { id: 'b', name: 'Bee' }, { id: 'c' }];
  return await probeLogs(api, 'account', owners, {
    name: 'account logs',
    hint: 'the permission',
    signal: new AbortController().signal,
  });
};

test('a log that is not found counts as refused, as it does for the daemon, and the others are tried', async () => {
  expect(await probe({ b: 'not_found' })).toEqual({
    name: 'account logs',
    ok: false,
    message: 'refused (404) for 1 of 3: b (Bee)',
    hint: 'the permission',
    exitCode: 1,
    tried: 3,
    refused: 1,
  });
  expect((await probe({ a: 'not_found', c: 'refused' })).message).toBe('refused (403, 404) for 2 of 3: a, c');
});

test('one log that fails otherwise is told with its reason; the exit code is that of a source that failed', async () => {
  const check = await probe({ a: 'server', b: 'refused' });
  expect(check).toMatchObject({ ok: false, exitCode: 1, tried: 3, refused: 1 });
  expect(check.message).toBe('failed for 1 of 3, refused for 1: a: server');
});

test('if every log fails otherwise, the failure is the answer', async () =>
  await expect(probe({ a: 'server', b: 'server', c: 'timeout' })).rejects.toThrow('a: server'));

test('the line of progress says how many logs are up to date, and once all are, of how many organizations and accounts they are', () => {
  expect(progressLine(undefined, settings, 900)).toBe('starting · 900ms');
  expect(progressLine(statusOf([2, 3, 900]), settings, 4_000)).toBe('2 of 3 logs up to date · 30,412 events · 4s');
  expect(progressLine(statusOf([2, 3, 4]), settings, 64_000)).toBe(
    '2 organizations, 1 account up to date · 30,412 events · 1m 4s',
  );
});

const exact: Comparison = {
  organizationsExpected: 30,
  organizationsStored: 30,
  accountsExpected: 60,
  accountsStored: 60,
  expected: 5_000,
  stored: 5_000,
  missing: 0,
  extra: 0,
  duplicates: 0,
  positionsMissing: 0,
  missingEntries: [],
};

test.each([
  [{ missing: 1_488 }, 1_488, 'catching up'],
  [{ missing: 1_488, organizationsStored: 12 }, 1_488, 'catching up'],
  [{ missing: 1_488 }, 1_487, 'wrong'],
  [{ missing: 1, extra: 1 }, 1, 'wrong'],
  [{ duplicates: 1 }, 0, 'wrong'],
  [{ positionsMissing: 1 }, 0, 'wrong'],
  [{ organizationsStored: 31 }, 0, 'wrong'],
  [{ missing: 1_488, accountsStored: 12 }, 1_488, 'catching up'],
  [{ accountsStored: 61 }, 0, 'wrong'],
] as const)('%j, %i of them not collected yet: %s', (difference, uncollected, outcome) =>
  expect(judge({ ...exact, ...difference }, uncollected)).toBe(outcome),
);

test('what is still missing is said in numbers, and that what is stored is right', () => {
  const comparison = { ...exact, missing: 1_488 };
  expect(verdictText({ outcome: 'catching up', comparison })).toMatch(
    /\nStill catching up: 1,488 events are not collected yet\. Nothing is wrong with what is stored\.\n$/,
  );
  expect(verdictText({ outcome: 'wrong', comparison })).toMatch(/\nThe database does NOT match what was served\.\n$/);
});

const many = [
  source('Alpha', 'fresh'),
  source('Beta', 'behind'),
  source('Gamma', 'refused'),
  source('Delta', 'quiet'),
  source('Epsilon', 'failing', {
    failingLanes: [{ lane: 'live', failures: 3, lastFailure: 'server', lastError: 'GET … was answered with 503' }],
  }),
];

it('statusText begins with what is wrong and totals, and shows trouble first', () => {
  const [causes, ...rest] = statusText(report(many), { most: 50 }).split('\n\n');
  const lines = rest.join('\n\n').split('\n');
  expect(lines[0]).toBe('5 organizations: 1 refused, 1 failing, 1 behind, 1 fresh, 1 quiet; listed 11s ago');
  expect(lines[1]).toBe('feed the-feed at position 9');
  const names = lines.slice(4, 9).map((line) => line.split(/ {2,}/)[1]);
  expect(names).toEqual(['Gamma', 'Epsilon', 'Beta', 'Alpha', 'Delta']);
  expect(causes).toMatch(/^failing: Epsilon \(id-Epsilon\): live fails: GET … was answered with 503\. Try: /m);
});

it('statusText shows no more than the limit, and says what it leaves out', () => {
  const text = statusText(report(many), { most: 2 });
  expect(text).toContain('Epsilon');
  expect(text).not.toContain('Alpha');
  expect([countedLogs({ organizations: 8, accounts: 16 }), countedLogs({ organizations: 0, accounts: 1 })]).toEqual([
    '24 logs',
    '1 account',
  ]);
  expect(text).toContain('3 of 5 organizations not shown: 1 behind, 1 fresh, 1 quiet (--all shows them)');
});

it('statusText keeps the error of a sink out of the table', () => {
  const lastError = `answered with 500: ${'x'.repeat(200)}`;
  const sinks = [sink('archive'), sink('siem', { failures: 4, lastError })];
  const lines = statusText(report(many, { sinks }), { most: 50 }).split('\n');
  expect(lines).toContain('2 sinks: 1 failing, 1 ok');
  const header = lines.findIndex((line) => line.startsWith('SINK '));
  expect(lines[header + 1]).toMatch(/^siem +failing +webhook /);
  for (const line of lines.slice(header, header + 3)) expect(line.length).toBeLessThan(120);
  expect(lines).toContain(`siem: 4 failures in a row, the last error: ${lastError}`);
});

it('statusText counts one as one', () => {
  const one = [source('Alpha', 'fresh')];
  expect(statusText(report(one), { most: 50 })).toMatch(/^1 organization: 1 fresh; listed/);
});

const healthy = [source('Alpha', 'fresh'), source('Delta', 'quiet')];
const fine = report(healthy, { sinks: [sink('siem')] });

it.each<[string, Report, boolean, boolean]>([
  ['nothing but fresh and quiet ones', fine, false, false],
  ['one that is behind', report([source('Beta', 'behind')]), false, true],
  ['one with holes', report([source('Beta', 'incomplete')]), false, true],
  ['one that fails', report([source('Beta', 'failing')]), true, true],
  ['one that is refused', report([source('Beta', 'refused')]), true, true],
  ['a sink that fails', report(healthy, { sinks: [sink('siem', { failures: 1 })] }), true, true],
  ['a sink that is behind', report(healthy, { sinks: [sink('siem', { lagSeconds: 9_999 })] }), false, true],
  ['a listing that fails', report(healthy, { discovery: { ...fine.discovery, lastError: 'x' } }), true, true],
  [
    'a listing that was never made',
    report(healthy, { discovery: { ...fine.discovery, ageSeconds: null } }),
    true,
    true,
  ],
  ['a dead daemon', report(healthy, { aliveSecondsAgo: 46 }), true, true],
  ['a daemon that is alive', report(healthy, { aliveSecondsAgo: 45 }), false, false],
])('fails %s: failing %s, behind %s', (_, of, failing, behind) =>
  expect({ failing: fails(of, 'failing'), behind: fails(of, 'behind') }).toEqual({ failing, behind }),
);

const stock = { perTransaction: 64, connections: 100 };
const settings = { tickMs: 2_000, apiBudget: 100_000 };

const statusOf = (lags: readonly number[]) =>
  ({
    position: 30_412,
    sources: lags.map((lagSeconds, n) => ({
      kind: n === 2 ? 'account' : 'organization',
      refused: false,
      failures: 0,
      holes: 0,
      lagSeconds,
      gapSeconds: lagSeconds,
      sinceLastEventSeconds: 3,
    })),
  }) as unknown as Status;

test('what no person sees is shown to a model by its number', () => {
  for (const code of [0x200b, 0x202e, 0xfe01, 0xe0100, 0x3164, 0x115f, 0xffa0, 0x34f, 0x180b, 0x17b4, 0x2800]) {
    expect(visible(`a${String.fromCodePoint(code)}b`)).toBe(`a\\u{${code.toString(16)}}b`);
  }
  expect(visible('café 日本 😀 –')).toBe('café 日本 😀 –');
});

it('help breaks between words on a narrow terminal, and examples stay whole', async () => {
  const helpAt = async (columns?: number): Promise<string> => {
    const printed: string[] = [];
    const stdout = { columns, write: (text: string) => printed.push(text) };
    await runCli(['search', '--help'], { stdout } as unknown as CliContext);
    return printed.join('');
  };
  const [wide, narrow] = [await helpAt(), await helpAt(80)];
  expect(narrow.split(/\s+/)).toEqual(wide.split(/\s+/));
  const long = (text: string) => text.split('\n').filter((line) => line.length > 80 && !/^ *\$/.test(line));
  expect([long(wide).length > 10, long(narrow)]).toEqual([true, []]);
});
