import { afterAll, describe, expect, test } from 'vitest';
import { expectAlike, expectMutationsFound, mutations, seed } from '../../support/evidence/bundles/judged-alike.ts';
import { numbersOf, richBundle } from '../../support/evidence/bundles/mutations.ts';
import { cutToSource } from '../../support/evidence/bundles/one-source-bundle.ts';
import { cutToTime } from '../../support/evidence/bundles/time-bundle.ts';
import { trickOf } from '../../support/evidence/bundles/tricks.ts';
import { bundlesOfPython, hasPython, TwoVerifiers } from '../../support/evidence/bundles/two-verifiers.ts';
import { partShapes, wholeShapes } from '../../support/evidence/shapes/all-shapes.ts';
import { cut } from '../../support/evidence/shapes/one-source.ts';
import { whole } from '../../support/evidence/shapes/time.ts';
import { readerOf, verifyBundle } from '../../support/evidence/test-history.ts';

const isThere = hasPython();
if (!isThere) console.warn('The two verifiers are not compared: there is no python3 of 3.9 or later.');

describe.skipIf(!isThere)('both verifiers (invariant 15)', () => {
  const verifiers = new TwoVerifiers();
  afterAll(() => verifiers.close());
  test('have bundles of different names', () => {
    expect(new Set(wholeShapes.map(({ name }) => name)).size).toBe(wholeShapes.length);
  });

  test.each(wholeShapes.map((shape) => [shape.name, shape] as const))('judge alike: %s', async (_name, shape) => {
    await expectAlike(verifiers, shape);
  });

  test('judge alike what the tests of verify.py made', () => {
    const bundles = bundlesOfPython();
    const judged = bundles.map(({ files, hashes, anchors = [], policy, faults }) => {
      const report = verifyBundle({ ...readerOf(files), hashes }, { anchors, ...(policy && { policy }) });
      return { holds: report.holds, python: faults, here: report.faults };
    });
    const differing = judged.filter(({ holds }, index) => holds !== bundles[index]?.holds);
    expect(differing).toEqual([]);
    expect(bundles.length).toBeGreaterThan(340);
  });

  test(`find the same ${mutations} changed bits and lines, from seed ${seed}`, async () => {
    await expectMutationsFound(verifiers, richBundle());
  });
});

describe.skipIf(!hasPython())('both verifiers, of a part', () => {
  const verifiers = new TwoVerifiers();
  afterAll(() => verifiers.close());

  test.each(partShapes.map((shape) => [shape.name, shape] as const))('judge alike: %s', async (_name, shape) => {
    await expectAlike(verifiers, shape);
  });

  test('claim completeness of a source only as far as the last coverage statement', async () => {
    const { here, python } = await verifiers.judge({ files: cut() });
    expect(here.claims).toContain(
      'these are all events of organization o1 up to position 701: 233, as far as the signer is believed',
    );
    expect(python.claims).toContain(
      'These are all events of organization o1 up to position 701: 233, as far as the signer is believed',
    );
  });

  const within = 'that happened from 2026-01-01T00:00:00Z to 2026-02-01T00:00:00Z, or have no time, up to position';

  test('claim that all events of a time are here, if all others show when they happened', async () => {
    const shown = await verifiers.judge({ files: cutToTime(whole) });
    const ofSource = await verifiers.judge({ files: cutToTime(cutToSource(whole, { source: 'o2' })) });
    for (const { claims } of [shown.here, shown.python].map(small))
      expect(claims).toContain(
        `these are all events ${within} 40, but for what was dropped: 30, as far as the signer is believed`,
      );
    for (const { claims } of [ofSource.here, ofSource.python].map(small))
      expect(claims).toContain(
        `these are all events of organization o2 ${within} 30, but for what was dropped: 7, as far as the signer is believed`,
      );
  });

  test('do not claim it if of others nothing but hashes is here, and say of how many', async () => {
    for (const hide of [[], [2, 3]]) {
      const { here, python } = await verifiers.judge({ files: cutToTime(whole, { isHashesOnly: true, hide }) });
      for (const { holds, claims, notClaimed } of [here, python].map(small)) {
        expect(holds).toBe(true);
        expect(claims.filter((claim) => claim.includes('happened from'))).toEqual([]);
        const alone = `that none of ${10 + hide.length} events that are here as hashes alone is of the time`;
        expect(notClaimed.filter((note) => note.startsWith(alone))).toHaveLength(1);
      }
    }
  });

  test.each([
    ['one source', cut()],
    ['a time', cutToTime(richBundle())],
  ])(`find the same ${mutations} changed bits and lines in a bundle of %s, from seed ${seed}`, async (_what, files) => {
    await expectMutationsFound(verifiers, files);
  });
});

describe.skipIf(!hasPython())('both verifiers', () => {
  const verifiers = new TwoVerifiers();
  afterAll(() => verifiers.close());

  test(`judge ${mutations} tricks alike, signed and unsigned, from seed ${seed}`, async () => {
    const next = numbersOf(seed);
    const differing: unknown[] = [];
    let holding = 0;
    for (let number = 0; number < mutations; number += 1) {
      const { what, files } = trickOf(next);
      const { here, python } = await verifiers.judge({ files });
      holding += here.holds ? 1 : 0;
      if (here.holds !== python.holds) differing.push({ number, what, here: here.faults, python: python.faults });
    }
    expect(differing).toEqual([]);
    // Some change nothing that counts; most must be found.
    expect(holding).toBeGreaterThan(0);
    expect(holding).toBeLessThan(mutations / 3);
  });
});

/** Sentences of both begin alike then. */
const small = <T extends { readonly claims: readonly string[]; readonly notClaimed: readonly string[] }>(
  one: T,
): T => ({ ...one, claims: one.claims.map(lowered), notClaimed: one.notClaimed.map(lowered) });
const lowered = (text: string): string => `${text[0]?.toLowerCase()}${text.slice(1)}`;
