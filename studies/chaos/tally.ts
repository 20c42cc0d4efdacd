/** What has been done to the replicas and the database so far, and what was seen of them. */
export interface Tally {
  kills: number;
  /** Of these, kills of a replica that was stopped. */
  killedWhileStopped: number;
  /** SIGSTOPs that lasted longer than a lease, until SIGCONT. */
  stopsBeyondLease: number;
  postgresRestarts: number;
  /** Commits that wrote nothing because another replica had taken the source. */
  fencedWrites: number;
  /** Walks that were dropped because the lease had run out. */
  leasesLost: number;
  /** Replicas that ended without having been killed, because there was no database when they started: restarted, as a supervisor would. */
  endedWithoutDatabase: number;
  /** Replicas that ended for any other reason: each is a fault of orgtrail. */
  readonly crashes: string[];
}

export const newTally = (): Tally => ({
  kills: 0,
  killedWhileStopped: 0,
  stopsBeyondLease: 0,
  postgresRestarts: 0,
  fencedWrites: 0,
  leasesLost: 0,
  endedWithoutDatabase: 0,
  crashes: [],
});
