import { expect, test } from 'vitest';
import type { FindingCount } from '../../../../src/findings/list-findings.sql.ts';
import { detectionsBody } from '../../../../src/http/console/detections/detections-page.ts';

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
