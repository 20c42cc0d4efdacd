import type { PlanningTime } from '../planning-time.ts';
import type { SyncContext } from '../ports.ts';
import { fromState, type PlannedSource } from './planned-source.ts';
import type { RememberedSources } from './remembered-sources.ts';

/** All of so few is loaded for every plan. */
const MOST_LOADED_WHOLE = 2_000;
/** Of more, as many as take so long, beside what else a tick does. */
const LOADING_MS = 250;

type Parts = Pick<SyncContext, 'store' | 'time' | 'windows' | 'settleDelaysMs' | 'tickMs' | 'mostLoadedWhole'>;

/**
 * All sources that are wanted, for one plan. Of many, those are loaded that have changed since the last one, and the others are remembered. `whole`:
 * nothing is left for a later plan.
 */
export const sourcesOfPlan = async (
  { store, time, windows, settleDelaysMs, tickMs, mostLoadedWhole = MOST_LOADED_WHOLE }: Parts,
  { nowMs }: PlanningTime,
  remembered: RememberedSources,
  whole: boolean,
): Promise<readonly PlannedSource[]> => {
  const sawPageOf = ({ largestPage }: { readonly largestPage: number }) => windows.sawPage(largestPage);
  if (remembered.size <= mostLoadedWhole) {
    const all = await store.loadFewSources(mostLoadedWhole);
    for (const source of all ?? []) sawPageOf(source);
    if (all !== undefined) return all.map(fromState);
  }
  const delaysMs = [0, ...settleDelaysMs];
  const loadingMs = whole ? Number.POSITIVE_INFINITY : LOADING_MS;
  return await remembered.refresh(store, { nowMs, delaysMs, tickMs, loadingMs, time }, sawPageOf);
};
