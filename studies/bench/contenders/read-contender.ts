import { apiPages } from '../served/api-pages.ts';
import type { Contender, ContenderOptions } from './contender.ts';

/** Asks for every page, four at a time, and does nothing with them: what the server of the pages can do at most. */
export const readContender = (): Contender => {
  let options: ContenderOptions | undefined;
  const read = async (organizations: readonly string[], baseUrl: string): Promise<number> => {
    let entries = 0;
    for await (const { text } of apiPages(baseUrl, organizations)) {
      entries += Number(/"count":"(\d+)"/.exec(text.slice(-200))?.[1] ?? 0);
    }
    return entries;
  };
  return {
    prepare: async (given) => {
      options = given;
    },
    run: async () => {
      const { organizations = [], baseUrl = '', concurrency = 1 } = options ?? {};
      const shares = Array.from({ length: concurrency }, (_, worker) =>
        organizations.filter((_, index) => index % concurrency === worker),
      );
      const counts = await Promise.all(shares.map((share) => read(share, baseUrl)));
      return counts.reduce((a, b) => a + b, 0);
    },
    close: async () => {},
  };
};
