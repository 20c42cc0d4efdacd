import { expect, test } from 'vitest';
import type { FindingCount } from '../../../../src/findings/list-findings.sql.ts';
import { detectionsBody } from '../../../../src/http/console/detections/detections-page.ts';
import { readFilter, selectOrganizations } from '../../../../src/http/console/overview/organizations.ts';
import type { OrganizationWithState } from '../../../../src/status/sources/source-owner.ts';
import { sourceFacts } from '../../status/source-facts.ts';

test('trouble comes first: what is about to be lost, then failing, refused, incomplete, behind; the rest by name', () => {
  const sources = [
    source('calm', { state: 'quiet' }),
    source('b'),
    source('a'),
    source('little behind', { state: 'behind', gapSeconds: 100 }),
    source('far behind', { state: 'behind', gapSeconds: 9_000 }),
    source('shut', { state: 'refused' }),
    source('holed', { state: 'incomplete', holes: 2 }),
    source('broken', { state: 'failing' }),
    source('losing', { state: 'behind', gapSeconds: 200, retentionSlackSeconds: 86_400 }),
  ];
  const expected = ['losing', 'broken', 'shut', 'holed', 'far behind', 'little behind', 'a', 'b', 'calm'];
  expect(names(sources)).toEqual(expected);
});

test('five thousand come in pages of fifty; a page beyond the last is the last', () => {
  const sources = Array.from({ length: 5_000 }, (_, index) => source(String(index).padStart(4, '0')));
  expect(selectOrganizations(sources, everything)).toMatchObject({ matching: 5_000, page: 1, pages: 100 });
  expect(names(sources, { ...everything, page: 2 }).at(0)).toBe('0050');
  expect(names(sources, { ...everything, page: 999 }).at(-1)).toBe('4999');
});

test('the filter looks at names and ids, whatever the case, and at the state', () => {
  const sources = [source('Northwind'), source('Contoso', { state: 'failing' })];
  expect(names(sources, { ...everything, text: 'NORTH' })).toEqual(['Northwind']);
  expect(names(sources, { ...everything, text: 'id-of-contoso' })).toEqual(['Contoso']);
  expect(selectOrganizations(sources, { text: '', state: 'refused', page: 1 })).toMatchObject({
    matching: 0,
    pages: 1,
  });
});

test('an address that makes no sense asks for everything', () => {
  expect(readFilter({ q: ['a', 'b'], state: 'on fire', page: '-1' })).toEqual(everything);
  expect(readFilter({ q: ' x ', state: 'failing', page: '3' })).toEqual({ text: 'x', state: 'failing', page: 3 });
});

const count: FindingCount = { detection: 'member_added', severity: 'medium', found: 3, muted: 0 };

const textOf = (counts: readonly FindingCount[], lookedSince: string | null): string => {
  const given = { since: '90d', before: '', organization: '', severity: '', detection: '', muted: '' };
  const list = { counts, findings: [], lookedSince };
  const page = { given, page: 1, faults: [], organizations: [], mutes: [], failure: undefined, nowMs: 0, list };
  return detectionsBody(page).toString();
};

test('a part of the time is said to be one, and never called a time in which nothing was found', () => {
  const since = '2026-11-01T10:00:00.000Z';
  const some = textOf([count], since);
  expect(some).toContain('>At least 3 findings<');
  expect(some).toContain('since=90d&amp;before=2026-11-01T10%3A00%3A00.000Z');
  const none = textOf([], since);
  expect(none).toContain('>0 findings<');
  expect(none).toContain('none so far');
  expect(none).not.toContain('this time');
});

test('all of the time is counted without a note', () => {
  expect(textOf([count], null)).not.toMatch(/At least|Look at the time before/);
  expect(textOf([], null)).toContain('found nothing in what is stored of this time');
});

const source = (name: string, more: Partial<OrganizationWithState> = {}): OrganizationWithState => ({
  ...sourceFacts,
  kind: 'organization',
  id: `id-of-${name}`,
  organizationId: `id-of-${name}`,
  organizationName: name,
  organizationState: 'active',
  state: 'fresh',
  firstReading: false,
  ...more,
});

const everything = { text: '', state: undefined, page: 1 };

const names = (sources: readonly OrganizationWithState[], filter = everything) =>
  selectOrganizations(sources, filter).rows.map(({ organizationName }) => organizationName);
