import type { Pool } from 'pg';
import type { Lease } from '../../../src/ingest/planning/source.ts';
import { addSources, commitAll, entryText, newSource, T0 } from '../postgres/store-fixture.ts';
import { newAccountSource, userEntryText } from '../sync/account-source.ts';

const months = [Date.UTC(2024, 0, 3), Date.UTC(2024, 0, 29), Date.UTC(2024, 1, 5), T0];
const sources = ['q', 'r', 'a', 'b', 'c'] as const;
const organizationOf: Readonly<Record<string, string>> = { a: 'q', b: 'r', c: 'r' };

/**
 * Commits pages of several sources in which old and young months follow each other in no order, with entries about users that stand in the
 * logs of several accounts.
 */
export const createMixedMonths = async (pool: Pool, random: () => number) => {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  await addSources(pool, ['q', 'r']);
  const leases = new Map<string, Lease>();
  let pages = 0;
  const leaseOf = async (source: string): Promise<Lease> => {
    const organization = organizationOf[source];
    return (
      leases.get(source) ??
      (await (organization === undefined ? newSource(pool, source) : newAccountSource(pool, source, organization)))
    );
  };
  const entry = (source: string, n: number): string => {
    // Ids and times repeat between accounts.
    if (source in organizationOf && random() < 0.6) {
      return userEntryText(`user-${Math.floor(random() * 12)}`, source, {}, pick(months));
    }
    const request = 'ä'.repeat(Math.floor(random() * 300));
    return entryText(`${source}-${pages}-${n}`, pick(months) + Math.floor(random() * 20), { request });
  };
  return async (count: number): Promise<void> => {
    for (let page = 0; page < count; page += 1) {
      pages += 1;
      const source = pick(sources);
      const size = 1 + Math.floor(random() * 12);
      const texts = Array.from({ length: size }, (_, n) => entry(source, n));
      const [committed] = await commitAll(pool, await leaseOf(source), [texts]);
      if (committed !== undefined) leases.set(source, committed.lease);
    }
  };
};
