import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { verifyBundle } from '../../../src/evidence/verify/verify-bundle.ts';
import { mutationOf, numbersOf, richBundle } from '../../support/evidence/mutations.ts';
import { contentShapes } from '../../support/evidence/shapes/content.ts';
import { dropShapes } from '../../support/evidence/shapes/drops.ts';
import { keyShapes } from '../../support/evidence/shapes/keys.ts';
import type { Shape } from '../../support/evidence/shapes/shape.ts';
import { statementShapes } from '../../support/evidence/shapes/statements.ts';
import { coverageShapes, trustShapes } from '../../support/evidence/shapes/trust.ts';
import { readerOf } from '../../support/evidence/test-history.ts';
import { bundlesOfPython, hasPython, TwoVerifiers, type Verdict } from '../../support/evidence/two-verifiers.ts';

/** Many more by hand: EVIDENCE_MUTATIONS=2000 EVIDENCE_SEED=7. */
const mutations = Number(process.env['EVIDENCE_MUTATIONS'] ?? 300);
const seed = Number(process.env['EVIDENCE_SEED'] ?? 16);
const isThere = hasPython();
if (!isThere) console.warn('The two verifiers are not compared: there is no python3 of 3.9 or later.');

describe.skipIf(!isThere)('both verifiers', () => {
  const verifiers = new TwoVerifiers();
  afterAll(() => verifiers.close());
  const shapes = [...contentShapes, ...statementShapes, ...dropShapes, ...coverageShapes, ...trustShapes, ...keyShapes];

  test('have bundles of different names', () => {
    expect(new Set(shapes.map(({ name }) => name)).size).toBe(shapes.length);
  });

  test.each(shapes.map((shape) => [shape.name, shape] as const))('judge alike: %s', async (_name, shape) => {
    const { here, python } = await verifiers.judge(shape);
    const says = ({ holds, positions, faults }: Verdict) => ({
      holds,
      named: shape.fault === undefined ? faults : isNamed(shape.fault, positions, faults) || { positions, faults },
    });
    const expected = { holds: shape.fault === undefined, named: shape.fault === undefined ? [] : true };
    expect({ here: says(here), python: says(python) }).toEqual({ here: expected, python: expected });
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
    const [files, next] = [richBundle(), numbersOf(seed)];
    const folder = verifiers.write(files);
    const whole = await verifiers.judge({ files });
    expect([whole.here.faults, whole.python.faults]).toEqual([[], []]);
    const harmless: string[] = [];
    for (let number = 0; number < mutations; number += 1) {
      const mutation = mutationOf(files, next);
      if (mutation === undefined) continue;
      const { path, what, bytes } = mutation;
      const here = verifyBundle(readerOf(new Map(files).set(path, bytes)));
      writeFileSync(join(folder, path), bytes);
      const python = await verifiers.judgeFolder(folder, []);
      writeFileSync(join(folder, path), files.get(path) ?? Buffer.alloc(0));
      expect({ path, what, holds: here.holds }).toEqual({ path, what, holds: python.holds });
      if (!here.holds) continue;
      // A policy may have spaces and comments, and a signature may stand twice: nothing that is claimed follows from these.
      expect({ path, what, claims: [here.claims, python.claims] }).toEqual({
        path,
        what,
        claims: [whole.here.claims, whole.python.claims],
      });
      harmless.push(`${path}, ${what}`);
      expect(path).toMatch(/^policy\.txt$|checkpoint$|^anchors\//);
    }
    expect(harmless.length).toBeLessThan(mutations / 10);
  });
});

const isNamed = (
  { position, word }: NonNullable<Shape['fault']>,
  positions: readonly number[],
  faults: readonly string[],
): boolean =>
  (position === undefined || positions.includes(position)) &&
  (word === undefined || faults.some((fault) => fault.includes(word)));
