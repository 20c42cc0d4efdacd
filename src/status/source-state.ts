import { counted } from '../base/text.ts';
import type { SinkStatus } from '../sinks/sink-status.sql.ts';
import {
  behindAfterSeconds,
  nearsLoss,
  type Pauses,
  pausesOf,
  type SourceFacts,
  type SourceHealth,
  sourceHealth,
  vanishedOf,
} from './health.ts';
import type { AccountStatus, OrganizationStatus, SourceStatus, Status } from './status.sql.ts';

export interface AskingPace {
  readonly tickMs: number;
  /** Requests per 5 minutes. */
  readonly apiBudget: number;
  /** Number of sources to ask. Default: those that are shown. */
  readonly asked?: number | undefined;
}

export interface StatusWithStates extends Omit<Status, 'gone' | 'sources'> {
  readonly vanished: Status['gone'];
  /** Without `isWhole` only those that most need attention, the most urgent first. */
  readonly sources: readonly SourceWithState[];
  readonly isWhole: boolean;
  readonly groups: readonly SourceGroup[];
}

/** The states that name what has to be mended, the most urgent first, and then the healthy ones. */
export const urgency: readonly SourceHealth[] = ['refused', 'failing', 'incomplete', 'behind', 'fresh', 'quiet'];

/** Of a source or a group: what is about to be lost first, then by state, and the healthy ones alike. 0 is the most urgent. */
export const urgencyOf = (one: SourceWithState | SourceGroup): number =>
  ('nearLoss' in one ? one.nearLoss > 0 : nearsLoss(one))
    ? 0
    : 1 + Math.min(urgency.indexOf(one.state), urgency.indexOf('fresh'));

export const withState = (source: SourceStatus, pauses: Pauses): SourceWithState => {
  const state = sourceHealth(source, pauses);
  return { ...source, state, firstReading: isFirstReading({ ...source, state }, behindAfterSeconds(pauses)) };
};

export const withStates = (status: Status, pace: AskingPace): StatusWithStates => {
  const { gone, sources: stored, ...rest } = status;
  const pauses = pausesOf(pace, pace.asked ?? stored.length);
  const sources = stored.map((source) => withState(source, pauses));
  return { ...rest, vanished: vanishedOf(gone, sources.length), sources, isWhole: true, groups: groupsOf(sources) };
};

/** Seconds; the alert OrgtrailSinkBehind has the same. */
const SINK_BEHIND_SECONDS = 600;

export const sinkState = ({ failures, lagSeconds }: SinkStatus): string =>
  failures > 0 ? 'failing' : lagSeconds > SINK_BEHIND_SECONDS ? 'behind' : 'ok';

/** `vanished`: an organization or account did. */
export const worst = (states: readonly string[]): string =>
  ['failing', 'refused', 'vanished', 'incomplete', 'behind'].find((state) => states.includes(state)) ?? 'ok';

/** All organizations, or the accounts of one organization, that are in one state. */
export type SourceGroup = Readonly<ReturnType<typeof groupOf>>;

/** The groups of these sources, as `readSummary` has them of all that are stored. */
export const groupsOf = (sources: readonly SourceWithState[]): readonly SourceGroup[] => {
  const keyOf = (source: SourceWithState): string =>
    isAccount(source) ? `${source.state} ${source.organizationId ?? ''}` : source.state;
  const [accounts, organizations] = [sources.filter(isAccount), sources.filter((source) => !isAccount(source))];
  return [organizations, accounts].flatMap((some) => Array.from(Map.groupBy(some, keyOf).values(), groupOf));
};

const groupOf = (sources: readonly SourceWithState[]) => {
  const [first] = sources;
  if (first === undefined) throw new Error('a group has at least one source');
  const sum = (of: (source: SourceWithState) => number): number => sources.reduce((all, source) => all + of(source), 0);
  const most = (of: (source: SourceWithState) => number): number =>
    sources.reduce((all, source) => Math.max(all, of(source)), Number.NEGATIVE_INFINITY);
  return {
    owner: isAccount(first) ? ('account' as const) : ('organization' as const),
    /** Whose accounts they are; null: of no known organization, and for organizations. */
    organizationId: isAccount(first) ? first.organizationId : null,
    state: first.state,
    sources: sources.length,
    mostLagSeconds: most(({ lagSeconds }) => lagSeconds),
    mostGapSeconds: most(({ gapSeconds }) => gapSeconds),
    leastRetentionSlackSeconds: -most(({ retentionSlackSeconds }) => -retentionSlackSeconds),
    holes: sum(({ holes }) => holes),
    /** Number of sources with holes. */
    withHoles: sum(({ holes }) => Number(holes > 0)),
    /** Read, and not a second time at least a day later. */
    readOnceSeconds: sum(({ readOnceSeconds }) => readOnceSeconds),
    readOnce: sum(({ readOnceSeconds }) => Number(readOnceSeconds > 0)),
    /** What version 0.1 claimed as read and has not been proven since. */
    unprovenSeconds: sum(({ unprovenSeconds }) => unprovenSeconds),
    unproven: sum(({ unprovenSeconds }) => Number(unprovenSeconds > 0)),
    /** Sources with uncollected time that Cloudflare will soon delete. */
    nearLoss: sum((source) => Number(nearsLoss(source))),
    /** Sources that are read for the first time; the figures below are of these. */
    firstReading: sum(({ firstReading }) => Number(firstReading)),
    firstReadingNearLoss: sum((source) => Number(source.firstReading && nearsLoss(source))),
    firstReadingWantedSeconds: sum(({ firstReading, wantedSeconds }) => (firstReading ? wantedSeconds : 0)),
    firstReadingGapSeconds: sum(({ firstReading, gapSeconds }) => (firstReading ? gapSeconds : 0)),
  };
};

export interface SourceCounts {
  readonly organizations: number;
  readonly accounts: number;
}

type Figure = Exclude<
  keyof SourceGroup,
  'owner' | 'organizationId' | 'state' | 'mostLagSeconds' | 'mostGapSeconds' | 'leastRetentionSlackSeconds'
>;

export const countsOf = (groups: readonly SourceGroup[], figure: Figure = 'sources'): SourceCounts => {
  const of = (wanted: SourceGroup['owner']): number =>
    groups.reduce((sum, group) => (group.owner === wanted ? sum + group[figure] : sum), 0);
  return { organizations: of('organization'), accounts: of('account') };
};

export const sumOf = (groups: readonly SourceGroup[], figure: Figure = 'sources'): number =>
  groups.reduce((sum, group) => sum + group[figure], 0);

/** -Infinity without any. */
export const mostGapSeconds = (groups: readonly SourceGroup[]): number =>
  groups.reduce((most, group) => Math.max(most, group.mostGapSeconds), Number.NEGATIVE_INFINITY);

type StateCounts = Readonly<Partial<Record<SourceHealth, number>>>;

export const countsByState = (groups: readonly Pick<SourceGroup, 'state' | 'sources'>[]): StateCounts => {
  const counts: Partial<Record<SourceHealth, number>> = {};
  for (const { state, sources } of groups) counts[state] = (counts[state] ?? 0) + sources;
  return counts;
};

/** For too many sources to name each. JSON for people and programs: a contract. */
export const totalsOf = (groups: readonly SourceGroup[], shown: number) => {
  const of = (owner: SourceGroup['owner']): StateCounts =>
    countsByState(groups.filter((group) => group.owner === owner));
  const most = (figure: 'mostLagSeconds' | 'mostGapSeconds'): number =>
    groups.reduce((all, group) => Math.max(all, group[figure]), 0);
  return {
    sources: sumOf(groups),
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
    /** Read, and not a second time at least a day later. */
    readOnceSeconds: sumOf(groups, 'readOnceSeconds'),
    /** What version 0.1 claimed as read and has not been proven since. */
    unprovenSeconds: sumOf(groups, 'unprovenSeconds'),
  };
};

export type SourceWithState = SourceStatus & {
  readonly state: SourceHealth;
  readonly firstReading: boolean;
};
export type OrganizationWithState = Extract<SourceWithState, OrganizationStatus>;
export type AccountWithState = Extract<SourceWithState, AccountStatus>;

export const isOrganization = <T extends SourceStatus>(source: T): source is T & OrganizationStatus =>
  source.accountId === undefined;

export const isAccount = <T extends SourceStatus>(source: T): source is T & AccountStatus =>
  source.accountId !== undefined;

export const ownerName = (
  source: Pick<SourceStatus, 'accountId' | 'accountName' | 'organizationName'>,
): string | null => (source.accountId === undefined ? source.organizationName : (source.accountName ?? null));

/** Seconds. */
interface HistoryFacts extends Pick<SourceFacts, 'gapSeconds'> {
  readonly wantedSeconds: number;
  /** From the horizon to the oldest collected time; all that is wanted if nothing is. */
  readonly unreadHistorySeconds: number;
}

/** True if, beside the ordinary delay, it lacks only time older than all that was collected. `readSummary` says the same in SQL. */
const isFirstReading = (
  { state, gapSeconds, unreadHistorySeconds }: HistoryFacts & { readonly state: SourceHealth },
  behindAfterSeconds: number,
): boolean => state === 'behind' && gapSeconds - unreadHistorySeconds <= behindAfterSeconds;

export const collectedShare = ({ wantedSeconds, gapSeconds }: Omit<HistoryFacts, 'unreadHistorySeconds'>): number =>
  wantedSeconds <= 0 ? 1 : Math.min(1, Math.max(0, 1 - gapSeconds / wantedSeconds));

export const countedOwners = ({ organizations, accounts }: SourceCounts, between = ', '): string => {
  if (accounts === 0) return counted(organizations, 'organization');
  const both = organizations === 0 ? '' : `${counted(organizations, 'organization')}${between}`;
  return `${both}${counted(accounts, 'account')}`;
};

/** Of what a number is a part: a part of two kinds is of neither. */
export const countedLogs = ({ organizations, accounts }: SourceCounts): string =>
  organizations > 0 && accounts > 0
    ? counted(organizations + accounts, 'log')
    : countedOwners({ organizations, accounts });

/** Without the organizations that accounts are of. */
export const byOwnerAndState = (groups: readonly SourceGroup[]): readonly SourceGroup[] =>
  Array.from(Map.groupBy(groups, ({ owner, state }) => `${owner} ${state}`).values(), (some) => some.reduce(added));

const added = (a: SourceGroup, b: SourceGroup): SourceGroup => {
  const figures = Object.entries(b).flatMap(([name, figure]) => {
    if (typeof figure !== 'number') return [];
    const before = Number(a[name as Figure]);
    if (name.startsWith('most')) return [[name, Math.max(before, figure)]];
    return [[name, name.startsWith('least') ? Math.min(before, figure) : before + figure]];
  });
  return { ...a, organizationId: null, ...Object.fromEntries(figures) };
};
