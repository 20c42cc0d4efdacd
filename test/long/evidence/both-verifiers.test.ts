import { afterAll, describe, expect, test } from 'vitest';
import { verifyBundle } from '../../../src/evidence/verify/verify-bundle.ts';
import { expectAlike, expectMutationsFound, mutations, seed } from '../../support/evidence/bundles/judged-alike.ts';
import { richBundle } from '../../support/evidence/bundles/mutations.ts';
import { bundlesOfPython, hasPython, TwoVerifiers } from '../../support/evidence/bundles/two-verifiers.ts';
import { wholeShapes } from '../../support/evidence/shapes/all-shapes.ts';
import { readerOf } from '../../support/evidence/test-history.ts';

const isThere = hasPython();
if (!isThere) console.warn('The two verifiers are not compared: there is no python3 of 3.9 or later.');

describe.skipIf(!isThere)('both verifiers', () => {
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
