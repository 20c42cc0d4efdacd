import { describe, expect, it } from 'vitest';
import { fails, type Report, type SourceRow, statusText } from '../../../src/cli/output/status-report.ts';
import type { SinkStatus } from '../../../src/sinks/sink-status.sql.ts';
import type { SourceHealth } from '../../../src/status/health.ts';
import { groupsOf } from '../../../src/status/sources/source-groups.ts';
import { sourceFacts } from '../status/source-facts.ts';

const source = (name: string, state: SourceHealth, more: Partial<SourceRow> = {}): SourceRow => ({
  kind: 'organization',
  id: `id-${name}`,
  organizationId: `id-${name}`,
  organizationName: name,
  organizationState: 'active',
  ...sourceFacts,
  refused: state === 'refused',
  firstReading: false,
  state,
  ...more,
});

const sink = (name: string, more: Partial<SinkStatus> = {}): SinkStatus => ({
  name,
  type: 'webhook',
  target: 'https://siem.example/in',
  position: 7,
  lagEvents: 0,
  lagSeconds: 0,
  delivered: 7,
  deadLetters: 0,
  skipped: 0,
  maxAgeSeconds: null,
  failures: 0,
  lastError: null,
  lastSuccessAt: null,
  nextAttemptAt: null,
  heldBy: null,
  ...more,
});

const report = (sources: readonly SourceRow[], more: Partial<Report> = {}): Report => ({
  feedId: 'the-feed',
  position: 9,
  positionJumps: 0,
  clockAheadSeconds: null,
  requestsBlocked: null,
  vanished: [],
  sinks: [],
  sources,
  isWhole: true,
  groups: groupsOf(sources),
  discovery: {
    lastSuccessAt: null,
    ageSeconds: 11,
    lastError: null,
    leaseOwner: null,
    organizations: sources.length,
    shortListings: [],
  },
  ...more,
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

describe('statusText', () => {
  it('begins with totals, and shows trouble first', () => {
    const lines = statusText(report(many), { most: 50 }).split('\n');
    expect(lines[0]).toBe('5 organizations: 1 refused, 1 failing, 1 behind, 1 fresh, 1 quiet; listed 11s ago');
    expect(lines[1]).toBe('feed the-feed at position 9');
    const names = lines.slice(4, 9).map((line) => line.split(/ {2,}/)[1]);
    expect(names).toEqual(['Gamma', 'Epsilon', 'Beta', 'Alpha', 'Delta']);
    expect(lines).toContain('failing: Epsilon (id-Epsilon): live fails: GET … was answered with 503');
  });

  it('shows no more than the limit, and says what it leaves out', () => {
    const text = statusText(report(many), { most: 2 });
    expect(text).toContain('Epsilon');
    expect(text).not.toContain('Alpha');
    expect(text).toContain('3 of 5 organizations not shown: 1 behind, 1 fresh, 1 quiet (--all shows them)');
  });

  it('keeps the error of a sink out of the table', () => {
    const lastError = `answered with 500: ${'x'.repeat(200)}`;
    const sinks = [sink('archive'), sink('siem', { failures: 4, lastError })];
    const lines = statusText(report(many, { sinks }), { most: 50 }).split('\n');
    expect(lines[1]).toBe('2 sinks: 1 failing, 1 ok');
    const header = lines.findIndex((line) => line.startsWith('SINK '));
    expect(lines[header + 1]).toMatch(/^siem +failing +webhook /);
    for (const line of lines.slice(header, header + 3)) expect(line.length).toBeLessThan(120);
    expect(lines).toContain(`siem: 4 failures in a row, the last error: ${lastError}`);
  });

  it('counts one as one', () => {
    const one = [source('Alpha', 'fresh')];
    expect(statusText(report(one), { most: 50 })).toMatch(/^1 organization: 1 fresh; listed/);
  });
});

const fine = report([source('Alpha', 'fresh'), source('Delta', 'quiet')], { sinks: [sink('siem')] });

it.each<[string, Report, boolean, boolean]>([
  ['nothing but fresh and quiet ones', fine, false, false],
  ['one that is behind', report([source('Beta', 'behind')]), false, true],
  ['one with holes', report([source('Beta', 'incomplete')]), false, true],
  ['one that fails', report([source('Beta', 'failing')]), true, true],
  ['one that is refused', report([source('Beta', 'refused')]), true, true],
  ['a sink that fails', { ...fine, sinks: [sink('siem', { failures: 1 })] }, true, true],
  ['a sink that is behind', { ...fine, sinks: [sink('siem', { lagSeconds: 9_999 })] }, false, true],
  ['a listing that fails', { ...fine, discovery: { ...fine.discovery, lastError: 'x' } }, true, true],
  ['a listing that was never made', { ...fine, discovery: { ...fine.discovery, ageSeconds: null } }, true, true],
])('fails %s: failing %s, behind %s', (_, of, failing, behind) =>
  expect({ failing: fails(of, 'failing'), behind: fails(of, 'behind') }).toEqual({ failing, behind }),
);
