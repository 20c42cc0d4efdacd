import type { Comparison } from '../../src/cli/demo/verdict.sql.ts';
import { isExact } from '../../src/cli/demo/verdict.sql.ts';
import type { Tally } from '../chaos/tally.ts';

/** What a run has done and found. `--json` prints it. */
export interface EvidenceChaosResult {
  readonly seed: number;
  readonly seconds: number;
  readonly tally: Tally;
  /** Checkpoints that were visible outside, by where, and of them those that carried a signature. */
  readonly seen: Readonly<Record<string, number>>;
  readonly proofs: number;
  /** Leases of the builders, by the epochs of both logs. */
  readonly leases: number;
  readonly state: string;
  readonly lostLeaves: number;
  readonly carried: number;
  readonly signedWhileStopped: number;
  /** Positions that the failover left out. */
  readonly leftOut: number;
  readonly lag: number;
  readonly caughtUp: boolean;
  readonly comparison: Comparison;
  readonly checkpointFaults: readonly string[];
  /** What the verifiers that did not agree that all holds have said. */
  readonly verifierFaults: readonly string[];
}

/** Sentences; none if all is as it must be. */
export const faultsOf = (result: EvidenceChaosResult): readonly string[] => [
  ...result.checkpointFaults,
  ...result.verifierFaults,
  ...result.tally.crashes,
  ...(result.signedWhileStopped === 0
    ? []
    : [`${result.signedWhileStopped} were signed between failover and the next log`]),
  ...(result.lostLeaves > 0 ? [] : ['the failover lost no signed checkpoint: nothing was shown']),
  ...(result.lag === 0 ? [] : [`${result.lag} leaves were never signed`]),
  ...(result.caughtUp ? [] : ['some source was not read to its end in time']),
  ...(isExact(result.comparison) ? [] : [`the store is not what was served: ${JSON.stringify(result.comparison)}`]),
];

/** The result as a table that is also Markdown, and a sentence. */
export const reportOf = (result: EvidenceChaosResult): string => {
  const { tally, seen } = result;
  const rows: readonly (readonly [what: string, count: number])[] = [
    ['replicas killed (SIGKILL)', tally.kills],
    ['replicas stopped beyond their lease (SIGSTOP, SIGCONT)', tally.stopsBeyondLease],
    ['PostgreSQL restarts (stop -m immediate, start)', tally.postgresRestarts],
    ['failovers that lost signed checkpoints', result.lostLeaves > 0 ? 1 : 0],
    ['leaves of the largest lost checkpoint that the standby lacked', result.lostLeaves],
    ['leases of builders', result.leases],
    ['checkpoints seen outside', seen['all'] ?? 0],
    ['seen at the anchor', seen['anchor'] ?? 0],
    ['seen in a line of a log', seen['log'] ?? 0],
    ['proofs of consistency, verified', result.proofs],
    ['checkpoints that are not consistent', result.checkpointFaults.length],
    [`signed while the log was ${result.state}, until the next log`, result.signedWhileStopped],
    ['leaves that are certain to be in both logs', result.carried],
    ['positions that the failover left out', result.leftOut],
    ['leaves not signed at the end', result.lag],
    ['entries expected', result.comparison.expected],
    ['entries stored', result.comparison.stored],
    ['entries missing', result.comparison.missing],
    ['crashes of a replica', tally.crashes.length],
  ];
  const width = Math.max(...rows.map(([what]) => what.length));
  const line = (what: string, count: string) => `| ${what.padEnd(width)} | ${count.padStart(9)} |`;
  const faults = faultsOf(result);
  return [
    line(`seed ${result.seed}, ${result.seconds} s`, 'count'),
    `| ${'-'.repeat(width)} | --------: |`,
    ...rows.map(([what, count]) => line(what, count.toLocaleString('en'))),
    '',
    ...faults,
    faults.length === 0
      ? 'Every signed checkpoint is consistent with every other one of its log, and both verifiers say that the bundle holds.'
      : 'The evidence is NOT what it should be.',
    '',
  ].join('\n');
};
