import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { BUNDLE_TIME_PATH } from '../../../../src/evidence/bundle/time-of-bundle.ts';
import { verifyBundle } from '../../../../src/evidence/verify/verify-bundle.ts';
import type { Files, Shape } from '../shapes/shape.ts';
import { readerOf } from '../test-history.ts';
import { mutationOf, numbersOf } from './mutations.ts';
import type { TwoVerifiers, Verdict } from './two-verifiers.ts';

/** Many more by hand: EVIDENCE_MUTATIONS=2000 EVIDENCE_SEED=7. */
export const mutations = Number(process.env['EVIDENCE_MUTATIONS'] ?? 300);
export const seed = Number(process.env['EVIDENCE_SEED'] ?? 16);

/** That both verifiers give the verdict of a shape, and name what it says they must. */
export const expectAlike = async (verifiers: TwoVerifiers, shape: Shape): Promise<void> => {
  const { here, python } = await verifiers.judge(shape);
  const says = ({ holds, positions, faults }: Verdict) => ({
    holds,
    named: shape.fault === undefined ? faults : isNamed(shape.fault, positions, faults) || { positions, faults },
  });
  const expected = { holds: shape.fault === undefined, named: shape.fault === undefined ? [] : true };
  expect({ here: says(here), python: says(python) }).toEqual({ here: expected, python: expected });
  if (shape.fault === undefined) expect(here.coverage).toEqual(python.coverage);
};

const isNamed = (
  { position, word }: NonNullable<Shape['fault']>,
  positions: readonly number[],
  faults: readonly string[],
): boolean =>
  (position === undefined || positions.includes(position)) &&
  (word === undefined || faults.some((fault) => fault.includes(word)));

/** That both find the same changed bits and lines in a bundle that holds; what both let pass changes nothing that they claim. */
export const expectMutationsFound = async (verifiers: TwoVerifiers, files: Files): Promise<void> => {
  const next = numbersOf(seed);
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
    expect({ path, what, seed, holds: here.holds }).toEqual({ path, what, seed, holds: python.holds });
    // Of another time, other claims are true.
    if (!here.holds || path === BUNDLE_TIME_PATH) continue;
    // A policy may have spaces and comments, and a signature may stand twice: nothing that is claimed follows from these.
    const claims = [here.claims, python.claims];
    expect({ path, what, seed, claims }).toEqual({
      path,
      what,
      seed,
      claims: [whole.here.claims, whole.python.claims],
    });
    harmless.push(path);
    expect(path).toMatch(/^policy\.txt$|checkpoint$|^anchors\//);
  }
  expect(harmless.length).toBeLessThan(mutations / 10);
};
