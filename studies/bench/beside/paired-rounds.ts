import { loadavg } from 'node:os';

/** The value that a share of the numbers is below. */
export const quantile = (numbers: readonly number[], share: number): number =>
  numbers.toSorted((a, b) => a - b)[Math.min(numbers.length - 1, Math.floor(numbers.length * share))] ?? Number.NaN;

/** Ingestion in one round. */
export interface Round {
  readonly entriesPerSecond: number;
  /** Of each commit. */
  readonly tookMs: readonly number[];
}

/** Rounds with something beside ingestion and without it, in turn. */
export const pairsOf = async (
  round: (beside: boolean) => Promise<Round>,
  count: number,
): Promise<readonly { readonly beside: Round; readonly alone: Round }[]> => {
  const pairs = [];
  for (let pair = 0; pair < count; pair += 1) {
    // In turn which one comes first.
    const first = await round(pair % 2 === 0);
    const second = await round(pair % 2 === 1);
    const [beside, alone] = pair % 2 === 0 ? [first, second] : [second, first];
    pairs.push({ beside, alone });
    const rates = [beside, alone].map(({ entriesPerSecond }) => Math.round(entriesPerSecond)).join(' and ');
    process.stderr.write(
      `pair ${pair + 1}: ${rates} entries/s with and without it, load ${loadavg()[0]?.toFixed(1)}\n`,
    );
  }
  return pairs;
};

/** How ingestion goes with it, as a share of how it goes without it. */
export const summary = (pairs: readonly { readonly beside: Round; readonly alone: Round }[]) => {
  const ratios = pairs.map(({ beside, alone }) => beside.entriesPerSecond / alone.entriesPerSecond);
  const ms = (which: 'beside' | 'alone', share: number) =>
    Math.round(
      quantile(
        pairs.flatMap((pair) => [...pair[which].tookMs]),
        share,
      ),
    );
  return {
    ratio: { median: quantile(ratios, 0.5), least: Math.min(...ratios), most: Math.max(...ratios) },
    commitMs: {
      beside: { p50: ms('beside', 0.5), p95: ms('beside', 0.95) },
      alone: { p50: ms('alone', 0.5), p95: ms('alone', 0.95) },
    },
  };
};
