import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';

/** HOSTILE_SEED, HOSTILE_PATH and HOSTILE_SHRINK run a failure again, and make it small. */
export const SEED = Number(process.env['HOSTILE_SEED'] ?? 20_261_001);
const MAX_QUOTE = 600;

/** Throws with the first difference only, cut to a length that a terminal bears: these are megabytes. */
export const requireEqual = (what: string, actual: readonly unknown[], expected: readonly unknown[]): void => {
  for (let index = 0; index < Math.max(actual.length, expected.length); index += 1) {
    if (isDeepStrictEqual(actual[index], expected[index])) continue;
    const [found, wanted] = [
      fieldsThatDiffer(actual[index], expected[index]),
      fieldsThatDiffer(expected[index], actual[index]),
    ];
    throw new Error(`${what} ${index} of ${expected.length}:\n  found  ${found}\n  wanted ${wanted}`);
  }
};

const fieldsThatDiffer = (value: unknown, other: unknown): string => {
  if (!isObject(value) || !isObject(other)) return quote(value);
  const different = Object.entries(value).filter(([name, field]) => !isDeepStrictEqual(field, other[name]));
  return quote(Object.fromEntries(different));
};

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

/** Runs a property; a failure names the seed, the path and the fault, and quotes the counterexample as far as it bears. */
export const requireProperty = async <T>(property: fc.IAsyncPropertyWithHooks<T>, numRuns: number): Promise<void> => {
  const path = process.env['HOSTILE_PATH'];
  const result = await fc.check(property, {
    seed: SEED,
    numRuns,
    endOnFailure: process.env['HOSTILE_SHRINK'] === undefined,
    ...(path === undefined ? {} : { path }),
  });
  if (!result.failed) return;
  const fault = result.errorInstance instanceof Error ? result.errorInstance.message : String(result.errorInstance);
  const again = `HOSTILE_SEED=${result.seed} HOSTILE_PATH=${result.counterexamplePath} HOSTILE_SHRINK=1`;
  throw new Error(`${fault}\nagain, and made small: ${again}\n${quote(result.counterexample)}`, {
    cause: result.errorInstance,
  });
};

const quote = (value: unknown): string => {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length <= MAX_QUOTE ? text : `${text.slice(0, MAX_QUOTE)}… (${text.length} characters)`;
};
