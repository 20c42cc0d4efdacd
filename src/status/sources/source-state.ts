import type { SinkStatus } from '../../sinks/sink-status.sql.ts';
import {
  type ApiFacts,
  apiTroubles,
  behindAfterSeconds,
  type Pauses,
  pausesOf,
  type SourceHealth,
  sourceHealth,
  vanishedOf,
} from '../health.ts';
import type { SourceStatus, Status } from '../status.sql.ts';
import { isFirstReading } from './first-reading.ts';
import { groupsOf, type SourceGroup } from './source-groups.ts';
import type { SourceWithState } from './source-owner.ts';

/** How often sources are asked, by which it is judged whether one is behind. */
export interface AskingPace {
  readonly tickMs: number;
  /** Requests per 5 minutes. */
  readonly apiBudget: number;
  /** How many sources there are to ask. Default: those that are shown. */
  readonly asked?: number | undefined;
}

/** How everything stands, with the state of each source that is named. */
export interface StatusWithStates extends Omit<Status, 'gone' | 'sources'> {
  /** The organizations and accounts that vanished. */
  readonly vanished: Status['gone'];
  /** All of them; or, if `isWhole` is false, those that most need attention, the most urgent first. */
  readonly sources: readonly SourceWithState[];
  readonly isWhole: boolean;
  /** What all of them add up to. */
  readonly groups: readonly SourceGroup[];
}

/** The states that name what has to be mended, the most urgent first, and then the healthy ones. */
export const urgency: readonly SourceHealth[] = ['refused', 'failing', 'incomplete', 'behind', 'fresh', 'quiet'];

export const withState = (source: SourceStatus, pauses: Pauses): SourceWithState => {
  const state = sourceHealth(source, pauses);
  return { ...source, state, firstReading: isFirstReading({ ...source, state }, behindAfterSeconds(pauses)) };
};

/** The status with the state of each source, and the organizations and accounts that vanished. */
export const withStates = (status: Status, pace: AskingPace): StatusWithStates => {
  const { gone, sources: stored, ...rest } = status;
  const pauses = pausesOf(pace, pace.asked ?? stored.length);
  const sources = stored.map((source) => withState(source, pauses));
  return { ...rest, vanished: vanishedOf(gone, sources.length), sources, isWhole: true, groups: groupsOf(sources) };
};

/** Seconds; the alert OrgtrailSinkBehind has the same. */
const SINK_BEHIND_SECONDS = 600;

/** How a sink is, in one word. */
export const sinkState = ({ failures, lagSeconds }: SinkStatus): string =>
  failures > 0 ? 'failing' : lagSeconds > SINK_BEHIND_SECONDS ? 'behind' : 'ok';

/** The state that most needs attention: one word for the whole. `vanished`: an organization or account did. */
export const worst = (states: readonly string[]): string =>
  ['failing', 'refused', 'vanished', 'incomplete', 'behind'].find((state) => states.includes(state)) ?? 'ok';

/** The states of all that can need attention: sources, sinks, what vanished, and listings. */
export const statesOf = (
  { groups, vanished, discovery, ...api }: Pick<StatusWithStates, 'groups' | 'vanished' | 'discovery'> & ApiFacts,
  sinks: readonly SinkStatus[],
): readonly string[] => [
  ...(apiTroubles(api).length === 0 ? [] : ['behind']),
  ...groups.map(({ state }) => state),
  ...sinks.map(sinkState),
  ...(vanished.length === 0 ? [] : ['vanished']),
  ...(discovery.accountsRefused === undefined ? [] : ['refused']),
  ...(discovery.shortListings.length === 0 ? [] : ['incomplete']),
];
