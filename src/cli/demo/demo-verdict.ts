import { setTimeout as sleep } from 'node:timers/promises';
import { readPauseMs } from '../../ingest/cloudflare/api-budget.sql.ts';
import type { Pool } from '../../postgres/pool.ts';
import type { Simulator } from '../../simulator/simulator-interface.ts';
import { type Comparison, compareWithTruth, countUncollected, isExact } from './compare-with-truth.sql.ts';

/**
 * `exact`: the store has what was served, once each. `catching up`: what it has is right, and all that is missing is of time
 * that has not been collected yet. `wrong`: anything else, such as a missing entry of time that counts as collected.
 */
export type Outcome = 'exact' | 'catching up' | 'wrong';

export interface Verdict {
  readonly outcome: Outcome;
  readonly comparison: Comparison;
}

export interface CatchUpOptions {
  /** How long it may go on without any progress, pauses of the API not counted. Milliseconds. */
  readonly timeoutMs: number;
  /** How many settle passes the daemon makes. */
  readonly settlePasses: number;
  /** Called once for each pause that the API imposes, with its remaining milliseconds. */
  readonly onPause: (pauseMs: number) => void;
}

/**
 * Compares again and again until the store has everything, since late entries show only after a settle pass. Gives up when
 * nothing more comes in, but never while the API pauses the daemon: it can do nothing then.
 */
export const catchUp = async (
  pool: Pool,
  simulator: Pick<Simulator, 'truth' | 'summary'>,
  { timeoutMs, settlePasses, onPause }: CatchUpOptions,
): Promise<Verdict> => {
  let giveUpAt = performance.now() + timeoutMs;
  let pausedUntil = 0;
  let best = { stored: 0, uncollected: Number.POSITIVE_INFINITY };
  for (;;) {
    const beganAt = performance.now();
    const comparison = await compareWithTruth(pool, simulator);
    if (isExact(comparison)) return { outcome: 'exact', comparison };
    const uncollected = await countUncollected(pool, comparison.missingEntries, settlePasses);
    if (comparison.stored > best.stored || uncollected < best.uncollected) giveUpAt = performance.now() + timeoutMs;
    best = { stored: comparison.stored, uncollected };
    const pauseMs = await readPauseMs(pool);
    if (pauseMs > 0) {
      if (performance.now() > pausedUntil) onPause(pauseMs);
      pausedUntil = performance.now() + pauseMs;
      giveUpAt = pausedUntil + timeoutMs;
    }
    if (performance.now() > giveUpAt) return { outcome: judge(comparison, uncollected), comparison };
    // Each comparison hashes all that is stored: most of the machine is for the daemon.
    await sleep(Math.max(500, 4 * (performance.now() - beganAt)));
  }
};

/** A pure function of a comparison that is not exact. `uncollected`: how many of the missing are of time not collected yet. */
export const judge = (comparison: Comparison, uncollected: number): Exclude<Outcome, 'exact'> => {
  const { missing, extra, duplicates, positionsMissing } = comparison;
  const knowsNoMore =
    comparison.organizationsStored <= comparison.organizationsExpected &&
    comparison.accountsStored <= comparison.accountsExpected;
  const storedIsRight = extra + duplicates + positionsMissing === 0 && knowsNoMore;
  return storedIsRight && missing === uncollected ? 'catching up' : 'wrong';
};

const sentences = {
  exact: () => 'Every event of every organization and account is stored, once each, to the byte.',
  'catching up': (missing: number) =>
    `Still catching up: ${missing.toLocaleString('en')} events are not collected yet. Nothing is wrong with what is stored.`,
  wrong: () => 'The database does NOT match what was served.',
} as const satisfies Record<Outcome, (missing: number) => string>;

/** The verdict as a table and a sentence. */
export const verdictText = ({ outcome, comparison }: Verdict): string => `
                 served   stored
organizations  ${pad(comparison.organizationsExpected)} ${pad(comparison.organizationsStored)}
accounts       ${pad(comparison.accountsExpected)} ${pad(comparison.accountsStored)}
events         ${pad(comparison.expected)} ${pad(comparison.stored)}

missing ${comparison.missing} · extra ${comparison.extra} · stored twice ${comparison.duplicates} · positions missing ${comparison.positionsMissing}
${sentences[outcome](comparison.missing)}
`;

const pad = (count: number): string => count.toLocaleString('en').padStart(8);
