import { nearsLoss, type SourceHealth } from '../health.ts';
import { isAccount, type SourceWithState } from './source-owner.ts';

/** What is said of many sources together: of all organizations, or of the accounts of one organization, that are in one state. */
export interface SourceGroup {
  readonly owner: 'organization' | 'account';
  /** Whose accounts they are; null: of no organization that is known. Of organizations, which are one group, always null. */
  readonly organizationId: string | null;
  readonly state: SourceHealth;
  readonly sources: number;
  readonly mostLagSeconds: number;
  readonly mostGapSeconds: number;
  readonly leastRetentionSlackSeconds: number;
  readonly holes: number;
  /** How many of the sources have holes. */
  readonly withHoles: number;
  /** What was read, and not a second time at least a day later. */
  readonly readOnceSeconds: number;
  /** How many of the sources have some of it. */
  readonly readOnce: number;
  /** What version 0.1 claimed as read and has not been proven since. */
  readonly unprovenSeconds: number;
  /** How many of the sources have some of it. */
  readonly unproven: number;
  /** Of how many Cloudflare will soon delete time that is not collected. */
  readonly nearLoss: number;
  /** How many of the sources are read for the first time; the figures below are of these. */
  readonly firstReading: number;
  readonly firstReadingNearLoss: number;
  readonly firstReadingWantedSeconds: number;
  readonly firstReadingGapSeconds: number;
}

/** The groups of these sources, as `readSummary` has them of all that are stored. */
export const groupsOf = (sources: readonly SourceWithState[]): readonly SourceGroup[] => {
  const keyOf = (source: SourceWithState): string =>
    isAccount(source) ? `${source.state} ${source.organizationId ?? ''}` : source.state;
  const [accounts, organizations] = [sources.filter(isAccount), sources.filter((source) => !isAccount(source))];
  return [organizations, accounts].flatMap((some) => Array.from(Map.groupBy(some, keyOf).values(), groupOf));
};

const groupOf = (sources: readonly SourceWithState[]): SourceGroup => {
  const [first] = sources;
  if (first === undefined) throw new Error('a group has at least one source');
  const sum = (of: (source: SourceWithState) => number): number => sources.reduce((all, source) => all + of(source), 0);
  const most = (of: (source: SourceWithState) => number): number =>
    sources.reduce((all, source) => Math.max(all, of(source)), Number.NEGATIVE_INFINITY);
  return {
    owner: isAccount(first) ? 'account' : 'organization',
    organizationId: isAccount(first) ? first.organizationId : null,
    state: first.state,
    sources: sources.length,
    mostLagSeconds: most(({ lagSeconds }) => lagSeconds),
    mostGapSeconds: most(({ gapSeconds }) => gapSeconds),
    leastRetentionSlackSeconds: -most(({ retentionSlackSeconds }) => -retentionSlackSeconds),
    holes: sum(({ holes }) => holes),
    withHoles: sum(({ holes }) => Number(holes > 0)),
    readOnceSeconds: sum(({ readOnceSeconds }) => readOnceSeconds),
    readOnce: sum(({ readOnceSeconds }) => Number(readOnceSeconds > 0)),
    unprovenSeconds: sum(({ unprovenSeconds }) => unprovenSeconds),
    unproven: sum(({ unprovenSeconds }) => Number(unprovenSeconds > 0)),
    nearLoss: sum((source) => Number(nearsLoss(source))),
    firstReading: sum(({ firstReading }) => Number(firstReading)),
    firstReadingNearLoss: sum((source) => Number(source.firstReading && nearsLoss(source))),
    firstReadingWantedSeconds: sum(({ firstReading, wantedSeconds }) => (firstReading ? wantedSeconds : 0)),
    firstReadingGapSeconds: sum(({ firstReading, gapSeconds }) => (firstReading ? gapSeconds : 0)),
  };
};

/** How many organizations and how many accounts there are among many sources. */
export interface SourceCounts {
  readonly organizations: number;
  readonly accounts: number;
}

type Figure =
  | 'sources'
  | 'holes'
  | 'withHoles'
  | 'readOnceSeconds'
  | 'readOnce'
  | 'unprovenSeconds'
  | 'unproven'
  | 'nearLoss'
  | 'firstReading'
  | 'firstReadingNearLoss'
  | 'firstReadingWantedSeconds'
  | 'firstReadingGapSeconds';

/** The sum of a figure of the groups, of organizations and of accounts. */
export const countsOf = (groups: readonly SourceGroup[], figure: Figure = 'sources'): SourceCounts => {
  const of = (wanted: SourceGroup['owner']): number =>
    groups.reduce((sum, group) => (group.owner === wanted ? sum + group[figure] : sum), 0);
  return { organizations: of('organization'), accounts: of('account') };
};

/** The sum of a figure of all groups. */
export const sumOf = (groups: readonly SourceGroup[], figure: Figure = 'sources'): number =>
  groups.reduce((sum, group) => sum + group[figure], 0);

/** The largest gap of all groups; -Infinity without any. */
export const mostGapSeconds = (groups: readonly SourceGroup[]): number =>
  groups.reduce((most, group) => Math.max(most, group.mostGapSeconds), Number.NEGATIVE_INFINITY);

export type StateCounts = Readonly<Partial<Record<SourceHealth, number>>>;

/** How many sources are in each state that any is in. */
export const countsByState = (groups: readonly Pick<SourceGroup, 'state' | 'sources'>[]): StateCounts => {
  const counts: Partial<Record<SourceHealth, number>> = {};
  for (const { state, sources } of groups) counts[state] = (counts[state] ?? 0) + sources;
  return counts;
};

/** What is said of all sources if there are too many to name each: JSON for people and programs, a contract. */
export const totalsOf = (groups: readonly SourceGroup[], shown: number) => {
  const of = (owner: SourceGroup['owner']): StateCounts =>
    countsByState(groups.filter((group) => group.owner === owner));
  const most = (figure: 'mostLagSeconds' | 'mostGapSeconds'): number =>
    groups.reduce((all, group) => Math.max(all, group[figure]), 0);
  return {
    sources: sumOf(groups),
    /** How many of them are named. */
    shown,
    organizations: of('organization'),
    accounts: of('account'),
    mostLagSeconds: most('mostLagSeconds'),
    mostGapSeconds: most('mostGapSeconds'),
    leastRetentionSlackSeconds: groups.reduce(
      (least, group) => Math.min(least, group.leastRetentionSlackSeconds),
      Number.POSITIVE_INFINITY,
    ),
    holes: sumOf(groups, 'holes'),
    readOnceSeconds: sumOf(groups, 'readOnceSeconds'),
    unprovenSeconds: sumOf(groups, 'unprovenSeconds'),
  };
};
