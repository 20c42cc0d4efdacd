import type { SinkStatus } from '../sinks/sink-status.sql.ts';
import { pausesOf, sourceHealth, vanishedOf } from './health.ts';
import type { AccountStatus, OrganizationStatus, Status } from './status.sql.ts';

/** The status with the state of each source, and the organizations and accounts that vanished. */
export const withStates = (status: Status, options: { readonly tickMs: number; readonly apiBudget: number }) => {
  const pauses = pausesOf(options, status.sources.length);
  const { gone, ...rest } = status;
  return {
    ...rest,
    vanished: vanishedOf(gone, status.sources.length),
    sources: status.sources.map((source) => ({ ...source, state: sourceHealth(source, pauses) })),
  };
};

/** Seconds; the alert OrgtrailSinkBehind has the same. */
const SINK_BEHIND_SECONDS = 600;

/** How a sink is, in one word. */
export const sinkState = ({ failures, lagSeconds }: SinkStatus): string =>
  failures > 0 ? 'failing' : lagSeconds > SINK_BEHIND_SECONDS ? 'behind' : 'ok';

/** The state that most needs attention: one word for the whole. `vanished`: an organization or account did. */
export const worst = (states: readonly string[]): string =>
  ['failing', 'refused', 'vanished', 'incomplete', 'behind'].find((state) => states.includes(state)) ?? 'ok';

/** The states of all that can need attention: sources, sinks, what vanished, and accounts that may not be listed. */
export const statesOf = (
  { sources, vanished, discovery }: StatusWithStates,
  sinks: readonly SinkStatus[],
): readonly string[] => [
  ...sources.map(({ state }) => state),
  ...sinks.map(sinkState),
  ...(vanished.length === 0 ? [] : ['vanished']),
  ...(discovery.accountsRefused === undefined ? [] : ['refused']),
];

export type StatusWithStates = ReturnType<typeof withStates>;
export type SourceWithState = StatusWithStates['sources'][number];
export type OrganizationWithState = Extract<SourceWithState, OrganizationStatus>;
export type AccountWithState = Extract<SourceWithState, AccountStatus>;
