import { expect } from 'vitest';

/** What a command gives that ended with this code and said this on stderr. */
export const exits = (code: number, stderr: string | RegExp) => ({
  code,
  stderr: typeof stderr === 'string' ? expect.stringContaining(stderr) : expect.stringMatching(stderr),
});
