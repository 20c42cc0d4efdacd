import fc from 'fast-check';

type Arbitraries<T> = { readonly [K in keyof T]: fc.Arbitrary<T[K]> };

/** How many draws, always the same ones; or what else is set. */
type Runs = number | { readonly seed?: number; readonly numRuns?: number };

/** What is said of all that is drawn holds: it neither throws nor is false. */
export const forAll = <T extends [unknown, ...unknown[]]>(
  drawn: Arbitraries<T>,
  runs: Runs,
  holds: (...values: T) => unknown,
): void =>
  fc.assert(
    fc.property<T>(...drawn, (...values) => holds(...values) !== false),
    parametersOf(runs),
  );

export const forAllAsync = <T extends [unknown, ...unknown[]]>(
  drawn: Arbitraries<T>,
  runs: Runs,
  holds: (...values: T) => Promise<unknown>,
): Promise<void> =>
  fc.assert(
    fc.asyncProperty<T>(...drawn, async (...values) => (await holds(...values)) !== false),
    parametersOf(runs),
  );

const parametersOf = (runs: Runs) => (typeof runs === 'number' ? { seed: 1, numRuns: runs } : runs);
