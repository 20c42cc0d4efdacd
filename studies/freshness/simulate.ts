// How soon events are had under the API budget, by two policies on the same arrivals, in virtual time.
// npm run lab freshness -- --seeds 5 --days 3 --world uneven --report FILE
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Activity } from './arrivals.ts';
import { discoveryShare } from './discovery-share.ts';
import { limitOfConstantRates } from './limit.ts';
import { API_BUDGET, type Comparison, comparePolicies, policyNames, TICK_MS } from './policies.ts';
import { percentile } from './virtual-time.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '5' },
    days: { type: 'string', default: '3' },
    world: { type: 'string', multiple: true },
    report: { type: 'string' },
  },
});

const lively = { rhythm: 0.9, burstsPerDay: 0.05, sleepers: 0.1, newcomers: 0.02, eventsPerDay: 20 };
const days = Number(values.days);
const worlds: Readonly<Record<string, Activity>> = {
  uneven: { ...lively, days, organizations: 5_000, zipfExponent: 1.1 },
  steep: { ...lively, days, organizations: 5_000, zipfExponent: 1.2 },
  shallow: { ...lively, days, organizations: 5_000, zipfExponent: 1 },
  quiet: { ...lively, days, organizations: 5_000, zipfExponent: 1.1, eventsPerDay: 1 },
  flat: {
    ...lively,
    days,
    organizations: 5_000,
    zipfExponent: 0,
    rhythm: 0,
    burstsPerDay: 0,
    sleepers: 0,
    newcomers: 0,
  },
  // About as many accounts as one user can be promised fresh logs of.
  'with accounts': {
    ...lively,
    days,
    organizations: 5_000,
    zipfExponent: 1.1,
    historyDays: 7,
    quiet: { sources: 5_000, eventsPerDay: 1 },
  },
  'five hundred': { ...lively, days, organizations: 500, zipfExponent: 1.1 },
  ten: { ...lively, days, organizations: 10, zipfExponent: 1.1 },
};

const median = (numbers: readonly number[]): number => [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? 0;
const span = (numbers: readonly number[], digits: number): string => {
  const [least, most] = [Math.min(...numbers), Math.max(...numbers)].map((each) => each.toFixed(digits));
  return `${median(numbers).toFixed(digits)}${least === most ? '' : ` (${least}–${most})`}`;
};

const table = (comparisons: readonly Comparison[]): string => {
  const header = [
    'policy',
    'p50 of round-robin',
    'p99 of round-robin',
    'p50 s',
    'p99 s',
    'max s',
    'requests',
    'brought nothing',
    'longest unasked s',
  ];
  const rows = policyNames.map((name) => {
    const of = (figure: (outcome: Comparison['outcomes'][typeof name]) => number) =>
      comparisons.map(({ outcomes }) => figure(outcomes[name]));
    const ratio = (share: number) =>
      comparisons.map(
        ({ outcomes }) => percentile(outcomes[name].lagsMs, share) / percentile(outcomes['round-robin'].lagsMs, share),
      );
    const seconds = (share: number) => median(of(({ lagsMs }) => percentile(lagsMs, share) / 1_000)).toFixed(0);
    return [
      name,
      span(ratio(0.5), 3),
      span(ratio(0.99), 3),
      seconds(0.5),
      seconds(0.99),
      seconds(1),
      median(of(({ requests }) => requests)).toString(),
      `${(100 * median(of(({ empty, requests }) => empty / requests))).toFixed(0)} %`,
      Math.max(...of(({ longestUnaskedMs }) => longestUnaskedMs / 1_000)).toFixed(0),
    ];
  });
  return [header, header.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
};

/** Nothing is to be divided where all can be asked at every tick. */
const limit = (activity: Activity, equalMs: number): string =>
  equalMs <= TICK_MS
    ? ''
    : `; were rates constant and known, p50 would be ${limitOfConstantRates(activity, TICK_MS / equalMs).toFixed(3)}`;

/** In a world with accounts: what there is beside them, and what it takes to know of all of them. */
const beside = ({ organizations: accounts }: Activity, { sources, eventsPerDay }: NonNullable<Activity['quiet']>) => {
  const share = discoveryShare({ organizations: sources, accounts, budget: API_BUDGET });
  return `; beside ${sources} organizations with ${eventsPerDay} event a day each; listings and details take ${(100 * share).toFixed(1)} % of the budget`;
};

const describeWorld = (name: string, activity: Activity, comparisons: readonly Comparison[]): string => {
  const { organizations, eventsPerDay, zipfExponent, burstsPerDay, quiet } = activity;
  const [first] = comparisons;
  const seconds = (ms = 0) => Math.round(ms / 1_000);
  const events = median(comparisons.map(({ outcomes }) => outcomes['round-robin'].lagsMs.length));
  return (
    `**${name}**: ${organizations} ${quiet === undefined ? 'organizations' : 'accounts'}, ${eventsPerDay} events a day each on average by 1/k^${zipfExponent}, ` +
    `${burstsPerDay} bursts a day each; ${events} events counted; in turn every ${seconds(first?.equalMs)} s, bound ${seconds(first?.boundMs)} s` +
    (quiet === undefined ? limit(activity, first?.equalMs ?? 0) : beside(activity, quiet))
  );
};

const chosen = values.world ?? Object.keys(worlds);
const parts: string[] = [];
for (const name of chosen) {
  const activity = worlds[name];
  if (activity === undefined) throw new Error(`no world is called ${name}: ${Object.keys(worlds).join(', ')}`);
  const comparisons: Comparison[] = [];
  for (let seed = 1; seed <= Number(values.seeds); seed += 1) {
    comparisons.push(comparePolicies(activity, seed));
    process.stderr.write(`${name}: seed ${seed}\n`);
  }
  const part = `${describeWorld(name, activity, comparisons)}\n\n${table(comparisons)}\n`;
  console.log(part);
  parts.push(part);
}
if (values.report !== undefined) writeFileSync(values.report, parts.join('\n'));
