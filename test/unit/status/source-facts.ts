/** What the status tells of a source that is read without trouble. */
// biome-ignore format: a table
export const sourceFacts = {
  refused: false, failures: 0, holes: 0, lagSeconds: 5, gapSeconds: 5, sinceLastEventSeconds: 60, leaseOwner: null,
  leaseEpoch: 1, lastSuccessAt: null, nextAttemptAt: null, lastFailure: null, lastError: null,
  retentionSlackSeconds: 9e9, openWalks: 0, failingLanes: [], firstHoles: [], unprovenSeconds: 0, readOnceSeconds: 0,
  futureSeconds: null, wantedSeconds: 47_000_000, unreadHistorySeconds: 0,
};
