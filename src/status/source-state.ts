import { type LaneTrouble, pausesOf, sourceHealth, vanishedOf } from './health.ts';

/** The parts of `CoverageHole` (store/coverage-holes.ts) that are shown. */
export interface ShownHole {
  readonly since: Date;
  readonly before: Date;
  readonly reason: string;
  readonly message: string;
}

/** The parts of `Status` (store/status.ts) that are shown. Declared here: edges do not import each other. */
export interface ShownSource {
  readonly organizationId: string;
  readonly organizationName: string | null;
  readonly refused: boolean;
  readonly failures: number;
  readonly lagSeconds: number;
  readonly gapSeconds: number;
  readonly retentionSlackSeconds: number;
  readonly lastSuccessAt: Date | null;
  readonly nextAttemptAt: Date | null;
  readonly openWalks: number;
  readonly failingLanes: readonly LaneTrouble[];
  readonly holes: number;
  /** The oldest of them. */
  readonly firstHoles: readonly ShownHole[];
  readonly unprovenSeconds: number;
  readonly futureSeconds: number | null;
  readonly sinceLastEventSeconds: number | null;
  readonly lastFailure: string | null;
  readonly lastError: string | null;
  readonly leaseOwner: string | null;
}

export interface ShownGone {
  readonly organizationId: string;
  readonly organizationName: string | null;
  readonly goneAt: Date | null;
  readonly goneSeconds: number | null;
}

export interface ShownStatus {
  readonly position: number;
  readonly positionJumps: number;
  readonly feedId: string;
  readonly discovery: {
    readonly lastSuccessAt: Date | null;
    readonly ageSeconds: number | null;
    readonly lastError: string | null;
    readonly leaseOwner: string | null;
    readonly organizations: number | null;
  };
  readonly sources: readonly ShownSource[];
  /** Newest first. */
  readonly gone: readonly ShownGone[];
}

/** The parts of `SinkStatus` (store/sink-status.ts) that are shown. */
export interface ShownSink {
  readonly name: string;
  readonly type: string;
  readonly target: string;
  readonly position: number;
  readonly lagEvents: number;
  readonly lagSeconds: number;
  readonly failures: number;
  readonly lastError: string | null;
  readonly lastSuccessAt: Date | null;
  readonly deadLetters: number;
  readonly heldBy: string | null;
}

/** The status with the state of each source, and the organizations that vanished. */
export const withStates = (status: ShownStatus, options: { readonly tickMs: number; readonly apiBudget: number }) => {
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
export const sinkState = ({ failures, lagSeconds }: ShownSink): string =>
  failures > 0 ? 'failing' : lagSeconds > SINK_BEHIND_SECONDS ? 'behind' : 'ok';

/** The state that most needs somebody: one word for the whole. `vanished`: an organization did. */
export const worst = (states: readonly string[]): string =>
  ['failing', 'refused', 'vanished', 'incomplete', 'behind'].find((state) => states.includes(state)) ?? 'ok';

/** The states of all that can need somebody: sources, sinks, and organizations that vanished. */
export const statesOf = ({ sources, vanished }: StatusWithStates, sinks: readonly ShownSink[]): readonly string[] => [
  ...sources.map(({ state }) => state),
  ...sinks.map(sinkState),
  ...(vanished.length === 0 ? [] : ['vanished']),
];

export type StatusWithStates = ReturnType<typeof withStates>;
export type SourceWithState = StatusWithStates['sources'][number];
