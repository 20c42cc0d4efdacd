/** What was compared, and what was wrong. */
export interface Findings {
  /** Compares, and returns what is different; undefined: nothing is. What throws is a difference as well. */
  attempt(what: string, compare: () => Promise<string | undefined> | string | undefined): Promise<string | undefined>;
  readonly faults: readonly string[];
}

/** Every comparison is a line of progress. */
export const createFindings = (progress: (line: string) => void): Findings => {
  const faults: string[] = [];
  return {
    faults,
    attempt: async (what, compare) => {
      let fault: string | undefined;
      try {
        fault = await compare();
      } catch (error) {
        fault = `it fails: ${String(error).slice(0, 600)}`;
      }
      progress(`${what}: ${fault ?? 'equal'}`);
      if (fault !== undefined) faults.push(`${what}: ${fault}`);
      return fault;
    },
  };
};

/** How two lists of rows differ, in whichever order they come. */
export const listDifference = (expected: readonly unknown[], found: readonly unknown[]): string | undefined => {
  const [wanted, had] = [expected, found].map((rows) => rows.map((row) => JSON.stringify(row)).sort()) as [
    string[],
    string[],
  ];
  if (wanted.length !== had.length) return `${had.length} rows instead of ${wanted.length}`;
  const at = wanted.findIndex((row, index) => row !== had[index]);
  return at === -1 ? undefined : `${had[at]?.slice(0, 300)} instead of ${wanted[at]?.slice(0, 300)}`;
};
