import { afterAll, describe, expect, test } from 'vitest';
import { verifyBundle } from '../../../src/evidence/verify/verify-bundle.ts';
import { expectAlike, expectMutationsFound, mutations, seed } from '../../support/evidence/bundles/judged-alike.ts';
import { richBundle } from '../../support/evidence/bundles/mutations.ts';
import { bundlesOfPython, hasPython, TwoVerifiers } from '../../support/evidence/bundles/two-verifiers.ts';
import { contentShapes } from '../../support/evidence/shapes/content.ts';
import { dropShapes } from '../../support/evidence/shapes/drops.ts';
import { keyShapes } from '../../support/evidence/shapes/keys.ts';
import { readShapes } from '../../support/evidence/shapes/reads.ts';
import { statementShapes } from '../../support/evidence/shapes/statements.ts';
import { coverageShapes, trustShapes } from '../../support/evidence/shapes/trust.ts';
import { readerOf } from '../../support/evidence/test-history.ts';

const isThere = hasPython();
if (!isThere) console.warn('The two verifiers are not compared: there is no python3 of 3.9 or later.');

describe.skipIf(!isThere)('both verifiers', () => {
  const verifiers = new TwoVerifiers();
  afterAll(() => verifiers.close());
  const shapes = [
    ...contentShapes,
    ...statementShapes,
    ...dropShapes,
    ...coverageShapes,
    ...trustShapes,
    ...keyShapes,
    ...readShapes,
  ];

  test('have bundles of different names', () => {
    expect(new Set(shapes.map(({ name }) => name)).size).toBe(shapes.length);
  });

  test.each(shapes.map((shape) => [shape.name, shape] as const))('judge alike: %s', async (_name, shape) => {
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
    expect(bundles.length).toBeGreaterThan(380);
  });

  test(`find the same ${mutations} changed bits and lines, from seed ${seed}`, async () => {
    await expectMutationsFound(verifiers, richBundle());
  });
});
