import { describe, expect, test } from 'vitest';
import { reportText } from '../../../../src/cli/evidence/verify-command.ts';
import { gapsOf } from '../../../../src/evidence/journal/ranges.ts';
import { writePolicy } from '../../../../src/evidence/notes/policy.ts';
import { faultText, Report } from '../../../../src/evidence/verify/report.ts';
import type { VerifierOptions } from '../../../../src/evidence/verify/verify-bundle.ts';
import { cutToSource } from '../../../support/evidence/bundles/one-source-bundle.ts';
import { grown, rewritten, small, withPayload } from '../../../support/evidence/shapes/shape.ts';
import {
  begun,
  eventsOrigin,
  readerOf,
  TestHistory,
  testEvent,
  usualHistory,
  verifyBundle,
} from '../../../support/evidence/test-history.ts';
import { logSigner } from '../../../support/evidence/test-keys.ts';

const verify = (history: TestHistory, options?: VerifierOptions): Report =>
  verifyBundle(readerOf(history.bundle()), options);

describe('a bundle holds', () => {
  test('with holes of before, a month that was dropped and declared, and what is left', () => {
    const report = verify(usualHistory());
    expect(report.faults).toEqual([]);
    expect(report.claims).toContain(
      'of 280 events 162 are as they were hashed, 116 were dropped as stated, and 2 were dropped before they were hashed, as far as the signer is believed',
    );
    expect(report.claims).toContain('4 coverage statements have the count and chain of their sources');
    expect(report.notClaimed).toContain('what happened to the first 20 events before they were hashed');
  });

  test('and says that it is worth little without a checkpoint that was kept elsewhere, and without keys of one\u2019s own', () => {
    const { notClaimed } = verify(small());
    expect(notClaimed.join('\n')).toContain('no checkpoint that was kept elsewhere is given');
    expect(notClaimed.join('\n')).toContain('those of the policy in the bundle are believed');
  });

  test('as far as chains go, if it is not known whose dropped events were', () => {
    const files = usualHistory().bundle();
    files.delete('events/sources/000');
    const report = verifyBundle(readerOf(files));
    expect(report.faults).toEqual([]);
    expect(report.notClaimed.join('\n')).toContain(
      'the chains of 4 coverage statements: of 116 events the source is not known',
    );
  });
});

describe('what the owner of the database changes is found, and the rest is claimed:', () => {
  const history = small();
  const claimOf = (present: number) =>
    `of 20 events ${present} are as they were hashed, 0 were dropped as stated, and 0 were dropped before they were hashed, as far as the signer is believed`;

  test('a payload', () => {
    const report = verifyBundle(
      readerOf(withPayload(history, (all) => all.with(6, { ...(all[6] as (typeof all)[0]), raw: Buffer.from('{}') }))),
    );
    expect(report.faults).toEqual([expect.objectContaining({ code: 'payload', position: 7 })]);
    expect(report.claims).toContain(claimOf(19));
    // Whose it was is known: the chain can be compared.
    expect(report.claims).toContain('1 coverage statements have the count and chain of their sources');
  });

  test('the payload and the leaf that goes with it, as another time of receipt does', () => {
    const other = grown(begun(), 20);
    other.leaves[6] = rewritten(7, 7).leaves[6] as Buffer;
    const leaf = other.leaves[6] as Buffer;
    const raw = Buffer.from(testEvent(7, 'o1', '2026-01').raw);
    const report = verifyBundle(readerOf(withPayload(history, (all) => all.with(6, { leaf, raw }))));
    expect(report.faults).toEqual([expect.objectContaining({ code: 'leaf', position: 7 })]);
    expect(report.claims).toContain(claimOf(19));
    expect(report.notClaimed.join('\n')).toContain('of 1 events the source is not known');
  });
});

const files = small().bundle();

test('the policy of an auditor may know fewer witnesses: their lines are then not claimed', () => {
  const logs = [logSigner(eventsOrigin).key, logSigner(eventsOrigin.replace('events', 'journal')).key];
  const report = verifyBundle(readerOf(files), { policy: Buffer.from(writePolicy(logs, [], 0)) });
  expect(report.faults).toEqual([]);
  expect(report.notClaimed.join('\n')).toContain('that witness.example.com/w1 signed events/checkpoint');
});

test('the policy of an auditor that cannot be read is a fault', () =>
  expect(codes(verifyBundle(readerOf(files), { policy: Buffer.from('quorum x\n') }))).toEqual(['policy']));

test('a statement of a type that is not known is said, not believed', () => {
  const later = small();
  later.statements.push((later.statements[2] as string).replace('"coverage"', '"later"'));
  expect(verify(later).faults).toEqual([]);
  expect(verify(later).notClaimed.join('\n')).toContain('its type, later, is not known');
});

test('a report says on one line what a bundle has, whatever that is', () => {
  const spoof = 'x\nnot claimed:\u001b[2J\u202e\u2028y';
  const history = small();
  history.append(testEvent(1, spoof, '2026-01')).stateCoverage(spoof, { events: 7 });
  history.state({ type: 'later' as 'schema', from_version: '', to_version: '', size_before: 0, size_after: 0 });
  const { faults, claims, notClaimed } = verify(history);
  const lines = [...faults.map(({ message }) => message), ...claims, ...notClaimed];
  expect(lines.join('')).toContain('organization x not claimed:\\u001b[2J\\u202e y has 1 events');
  expect(lines.filter((line) => /[\p{Cc}\u2028\u202e]/u.test(line))).toEqual([]);
});

test('a report claims nothing about leaves that another root is signed of', () => {
  const files = rewritten(20, 7).bundle();
  files.set('events/checkpoint', small().checkpoint('events'));
  expect(verifyBundle(readerOf(files)).claims).toEqual([]);
  const wrongChain = verify(small().stateCoverage('o1', { chain: '00'.repeat(32) }));
  expect(wrongChain.claims.join()).not.toContain('have the count and chain');
});

test('a report has faults of one cause as one, with the first of their positions', () => {
  const history = grown(begun(), 250).stateCoverage('o1');
  const report = verifyBundle(readerOf(withPayload(history, () => [])));
  expect(report.faultCounts.get('missing')).toBe(250);
  const [fault, ...others] = report.faults.filter(({ code }) => code === 'missing');
  expect(others).toEqual([]);
  expect(fault).toMatchObject({
    position: 1,
    count: 250,
    positions: Array.from({ length: 20 }, (_, index) => index + 1),
  });
  expect(fault && faultText(fault)).toBe(
    'event 1 has no payload, and no drop says why (250 times, also at 2, 3, 4, 5, …)',
  );
});

test('a report keeps some causes of each kind, and counts all faults', () => {
  const report = new Report();
  for (let number = 0; number < 250; number += 1) report.fault('manifest', `file-${number} is missing`);
  report.fault('manifest', 'file-7 is missing');
  expect([report.faultCounts.get('manifest'), report.faults.length]).toEqual([251, 100]);
  expect(report.faults[7] && faultText(report.faults[7])).toBe('file-7 is missing (2 times)');
});

describe('a checkpoint that the bundle has as well', () => {
  const history = small();
  const files = history.bundle().set('anchors/1-events', small(12).checkpoint('events'));
  const kept = (size: number) => ({ name: 'kept', note: small(size).checkpoint('events') });
  const noteOf = (path: string) =>
    `that kept was kept elsewhere: it is the same checkpoint as ${path} of the bundle, so a copy of that proves nothing. If you kept or fetched it elsewhere yourself, say so: --kept-elsewhere`;

  test.each([
    [20, 'events/checkpoint'],
    [12, 'anchors/1-events'],
  ])('of %d events proves nothing new', (size, path) => {
    const report = verifyBundle(readerOf(files), { anchors: [kept(size)] });
    expect(report.faults).toEqual([]);
    expect([report.isAnchored, report.notClaimed.includes(noteOf(path))]).toEqual([false, true]);
  });

  test('counts if the auditor says that he has it from elsewhere, as does another one', () => {
    const elsewhere = verifyBundle(readerOf(files), { anchors: [{ ...kept(20), isKeptElsewhere: true }] });
    expect([elsewhere.isAnchored, elsewhere.notClaimed.join().includes('kept was kept elsewhere')]).toEqual([
      true,
      false,
    ]);
    expect(verifyBundle(readerOf(files), { anchors: [kept(11)] }).isAnchored).toBe(true);
  });
});

test('what sounds absolute is as far as the signer is believed, until checkpoints that were kept say all of it', () => {
  const history = small();
  const believed = (options?: VerifierOptions) =>
    verify(history, options).claims.filter((claim) => claim.endsWith('as far as the signer is believed')).length;
  expect(believed()).toBe(2);
  const kept = (of: TestHistory, log: 'events' | 'journal') => ({
    name: `kept ${log}`,
    note: of.checkpoint(log),
    isKeptElsewhere: true,
  });
  expect(believed({ anchors: [kept(small(11), 'events'), kept(history, 'journal')] })).toBe(2);
  expect(believed({ anchors: [kept(history, 'events')] })).toBe(2);
  expect(believed({ anchors: [kept(history, 'events'), kept(history, 'journal')] })).toBe(0);
});

test('what was not given is named as not checked', () => {
  const of = (options?: VerifierOptions) => verify(small(), options).notChecked.map((text) => text.split(':')[0]);
  const always = ['when it was signed', 'whether one organization, account or time is complete by itself'];
  expect(of()).toEqual(['the keys', 'whether history was rewritten', ...always]);
  const policy = small().bundle().get('policy.txt') as Buffer;
  expect(of({ policy, anchors: anchorOf(small(11)) })).toEqual(always);
});

test('time that was not read is named first', () => {
  const history = grown(begun(), 20).stateCoverage('o1', {
    wanted_since: '2025-06-01T00:00:00Z',
    passes: [{ pass: 0, ranges: [['2025-07-01T00:00:00Z', '2026-02-01T00:00:00Z']] }],
  });
  const text = reportText(verify(history));
  expect(text.split('\n')[0]).toBe(
    'not everything was read: 1 gap and no hole; the first gap: organization o1 from 2025-06-01T00:00:00Z to 2025-07-01T00:00:00Z; all are named under "not claimed"',
  );
  expect(text).toContain('\nholds, as far as the signer is believed (unanchored):\n');
  expect(text).toContain('\nnot checked:\n');
  expect(verify(small()).unread).toBeUndefined();
  const never = verify(grown(begun(), 20).stateCoverage('o1', { passes: [{ pass: 0, ranges: [] }] }));
  expect(never.unread).toContain('no gap and no hole, and of 1 source nothing is stated as read; all are');
  expect(never.notClaimed).toContain('organization o1: any time of it: nothing is stated as read');
});

test('a kept checkpoint that a fork does not go on from is named before all else, then what stays the word of the operator', () => {
  const text = (common_size: number) => {
    const last_note = small().checkpoint('events').toString();
    const forked = new TestHistory(2).state({ type: 'fork', last_note, common_size, cause: 'restore', by: 'dba' });
    return reportText(verify(grown(forked, 30), { anchors: [{ name: 'kept', note: small(40).checkpoint('events') }] }));
  };
  expect(text(20).split('\n').slice(0, 2)).toEqual([
    'it does not hold: kept has 40 leaves of generation 1, and generation 2 does not go on from them: behind the fork they are lost or rewritten',
    expect.stringMatching(/^the operator's word, whatever else holds: that orgtrail was given all that Cloudflare had/),
  ]);
});

describe('a kept checkpoint of the journal of an earlier generation', () => {
  const journalOf = (history: TestHistory) => {
    const [origin = '', size, root = ''] = history.checkpoint('journal').toString().split('\n');
    return { origin, size: Number(size), root };
  };
  const judged = (old_journal: ReturnType<typeof journalOf> | undefined, kept: TestHistory, generation = 2) => {
    const said = { last_note: '', common_size: 0, cause: 'restore', by: 'dba', ...(old_journal && { old_journal }) };
    const forked = grown(new TestHistory(generation).state({ type: 'fork', ...said }), 30);
    const report = verify(forked, { anchors: [{ name: 'kept', note: kept.checkpoint('journal') }] });
    const [first, second] = reportText(report).split('\n');
    return { holds: report.holds, isAnchored: report.isAnchored, first, second };
  };
  const longer = small().stateCoverage('o1');
  const lost = { holds: false, second: expect.stringMatching(/^the operator's word/) };

  test.each([
    ['has more statements than the fork names', journalOf(small()), longer, 2, 4],
    ['has as many of another tree', journalOf(small()), rewritten(20, 3), 2, 3],
    ['is of a generation after the one that the fork names', journalOf(small()), new TestHistory(2), 3, 0],
  ])('is a loss, and said before all else, if it %s', (_name, old, kept, generation, size) =>
    expect(judged(old, kept, generation)).toMatchObject({
      ...lost,
      first: `it does not hold: kept has ${size} statements of generation ${generation - 1}, but the fork names others, 3 of generation 1: statements that were kept (holds, gaps) are not in this history`,
    }),
  );

  test('agrees if it is the one that the fork names, which proves nothing of this generation', () =>
    expect(judged(journalOf(small()), small())).toMatchObject({ holds: true, isAnchored: false }));

  test.each([
    ['has fewer statements', journalOf(longer), 2, 'the fork names only the root of 4 of generation 1'],
    [
      'is of a generation before that',
      journalOf(new TestHistory(2)),
      3,
      'the fork names only the root of 0 of generation 2',
    ],
    ['meets a fork that names no journal', undefined, 2, 'the fork names no journal'],
  ])('is said not to be compared, before all that holds, if it %s', (_name, old, generation, reason) =>
    expect(judged(old, small(), generation)).toMatchObject({
      holds: true,
      isAnchored: false,
      first: `not compared, and not claimed: that the 3 statements of kept, of generation 1, belong to this history: ${reason}`,
    }),
  );
});

test('gaps are what ranges lack of a time', () => {
  const day = (number: number) => `2026-01-0${number}T00:00:00Z`;
  const full = (number: number) => `2026-01-0${number}T00:00:00.000000Z`;
  expect(gapsOf([], [day(1), day(2)])).toEqual([[full(1), full(2)]]);
  expect(gapsOf([['-infinity', day(9)]], [day(1), day(2)])).toEqual([]);
  const read = [5, 2, 3].map((number) => [day(number), day(number + 1)] as [string, string]);
  const gaps = [1, 4, 6].map((number) => [full(number), full(number + 1)]);
  expect(gapsOf(read, [day(1), day(7)])).toEqual(gaps);
});

test('a bundle of one source names it, and says up to which position all of its events are there', () => {
  const files = cutToSource(usualHistory().bundle(), { source: 'o1' });
  const report = verifyBundle(readerOf(files));
  expect([report.faults, report.subject]).toEqual([[], 'a bundle of one source: organization o1']);
  expect(report.claims).toContain(
    'these are all events of organization o1 up to position 280: 93, as far as the signer is believed',
  );
  expect(report.claims).toContain(
    'of 93 events of organization o1 54 are as they were hashed, and 39 were dropped as stated, as far as the signer is believed',
  );
});

const codes = (report: Report): string[] => [...report.faultCounts.keys()];
const anchorOf = (history: TestHistory) => [{ name: 'kept by the auditor', note: history.checkpoint('events') }];
