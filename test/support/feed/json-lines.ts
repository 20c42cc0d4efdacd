/** The values of NDJSON, whose every line has an end. */
export const jsonLines = <T>(text: string): T[] =>
  text
    .split('\n')
    .slice(0, -1)
    .map((line): T => JSON.parse(line));
