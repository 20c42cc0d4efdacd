import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { verifyBundle } from '../../../src/evidence/verify/verify-bundle.ts';
import { mutationOf, numbersOf } from '../../support/evidence/mutations.ts';
import { cut, oneSourceShapes } from '../../support/evidence/shapes/one-source.ts';
import { readerOf } from '../../support/evidence/test-history.ts';
import { hasPython, TwoVerifiers, type Verdict } from '../../support/evidence/two-verifiers.ts';

/** Many more by hand: EVIDENCE_MUTATIONS=2000 EVIDENCE_SEED=7. */
const mutations = Number(process.env['EVIDENCE_MUTATIONS'] ?? 300);
const seed = Number(process.env['EVIDENCE_SEED'] ?? 16);

describe.skipIf(!hasPython())('both verifiers, of a bundle of one source', () => {
  const verifiers = new TwoVerifiers();
  afterAll(() => verifiers.close());

  test.each(oneSourceShapes.map((shape) => [shape.name, shape] as const))('judge alike: %s', async (_name, shape) => {
    const { here, python } = await verifiers.judge(shape);
    const { position, word } = shape.fault ?? {};
    const says = ({ holds, positions, faults }: Verdict) => ({
      holds,
      named:
        (position === undefined || positions.includes(position) || { positions }) &&
        (word === undefined || faults.some((fault) => fault.includes(word)) || { faults }),
    });
    const expected = { holds: shape.fault === undefined, named: true };
    expect({ here: says(here), python: says(python) }).toEqual({ here: expected, python: expected });
  });

  test('claim completeness only as far as the last coverage statement', async () => {
    const { here, python } = await verifiers.judge({ files: cut() });
    expect(here.claims).toContain('these are all events of organization o1 up to position 701: 233');
    expect(python.claims).toContain('These are all events of organization o1 up to position 701: 233');
  });

  test(`find the same ${mutations} changed bits and lines, from seed ${seed}`, async () => {
    const [files, next] = [cut(), numbersOf(seed)];
    const folder = verifiers.write(files);
    const before = await verifiers.judge({ files });
    expect([before.here.faults, before.python.faults]).toEqual([[], []]);
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
      if (here.holds) harmless.push(`${path}, ${what}`);
    }
    // A policy may have spaces and comments, and a signature may stand twice.
    expect(harmless.filter((one) => !/^policy\.txt|checkpoint,/.test(one))).toEqual([]);
    expect(harmless.length).toBeLessThan(mutations / 10);
  });
});
