import { afterAll, describe, expect, test } from 'vitest';
import { mutations, seed } from '../../support/evidence/bundles/judged-alike.ts';
import { numbersOf } from '../../support/evidence/bundles/mutations.ts';
import { trickOf } from '../../support/evidence/bundles/tricks.ts';
import { hasPython, TwoVerifiers } from '../../support/evidence/bundles/two-verifiers.ts';

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
