import { setTimeout as sleep } from 'node:timers/promises';
import type { Lease } from '../../../src/ingest/planning/source.ts';
import type { Pool } from '../../../src/postgres/pool.ts';
import { commit, entryText, T0 } from '../../../test/support/postgres/store-fixture.ts';

/** Entries of a page. */
export const PAGE = 1_000;
/** What the API allows. */
export const API_PAGES_A_SECOND = 4;

/** Some 1.1 kB, as an entry of Cloudflare's is. */
const entry = (id: string, index: number): string =>
  entryText(id, T0 + index, {
    raw: { cf_ray_id: `9a${index}-FRA`, method: 'PATCH', status_code: 200, uri: `/client/v4/zones/${index}/settings` },
    resource: { id: `zone-${index}`, product: 'zones', type: 'zone_settings', scope: { id: 'account-7' } },
    request: {
      changes: Array.from({ length: 12 }, (_, at) => ({ key: `setting_${at}_${index}`, old: 'off', new: 'on' })),
    },
  });

let pagesMade = 0;
/** A page of entries that are not stored yet. */
export const nextPage = (): string[] => {
  pagesMade += 1;
  return Array.from({ length: PAGE }, (_, index) => entry(`p${pagesMade}-${index}`, pagesMade * PAGE + index));
};

/** Commits these pages under one lease; how long each commit took. */
export const commitPages = async (pool: Pool, first: Lease, pages: readonly string[][], pauseMs: number) => {
  const tookMs: number[] = [];
  let lease = first;
  const beganAt = performance.now();
  for (const [index, page] of pages.entries()) {
    const waitMs = beganAt + index * pauseMs - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    const at = performance.now();
    const result = await commit(pool, lease, page);
    if (result.kind !== 'committed') throw new Error('the lease is lost');
    lease = result.lease;
    tookMs.push(performance.now() - at);
  }
  return { lease, tookMs };
};
