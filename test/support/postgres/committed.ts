import { commit } from './store-fixture.ts';

/** Commits a page, which no other process must hold up. */
export const committed = async (...page: Parameters<typeof commit>) => {
  const result = await commit(...page);
  if (result.kind !== 'committed') throw new Error('fenced');
  return result;
};
