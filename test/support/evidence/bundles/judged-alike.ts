import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { BUNDLE_TIME_PATH } from '../../../../src/evidence/bundle/layout.ts';
import { type Files, type Shape, wrongIn } from '../shapes/shape.ts';
import { readerOf, verifyBundle } from '../test-history.ts';
import { mutationOf, numbersOf } from './mutations.ts';
import type { TwoVerifiers } from './two-verifiers.ts';

/** Many more by hand: EVIDENCE_MUTATIONS=2000 EVIDENCE_SEED=7. */
export const mutations = Number(process.env['EVIDENCE_MUTATIONS'] ?? 120);
export const seed = Number(process.env['EVIDENCE_SEED'] ?? 16);

/** That both verifiers give the verdict of a shape, and name what it says they must. */
export const expectAlike = async (verifiers: TwoVerifiers, shape: Shape): Promise<void> => {
  const { here, python } = await verifiers.judge(shape);
  expect({ here: wrongIn(here, shape), python: wrongIn(python, shape) }).toEqual({
    here: undefined,
    python: undefined,
  });
  if (shape.fault === undefined) expect(here.coverage).toEqual(python.coverage);
};

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
