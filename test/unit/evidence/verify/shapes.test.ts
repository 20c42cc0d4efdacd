import { expect, test } from 'vitest';
import { partShapes, wholeShapes } from '../../../support/evidence/shapes/all-shapes.ts';
import { judgeHere, wrongIn } from '../../../support/evidence/shapes/shape.ts';

// verify.py gives the same verdicts: test/long/evidence/both-verifiers.test.ts.
test.each([...wholeShapes, ...partShapes].map((shape) => [shape.name, shape] as const))('%s', (_name, shape) =>
  expect(wrongIn(judgeHere(shape), shape)).toBeUndefined(),
);
