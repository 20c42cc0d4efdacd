import type { Comparison } from '../../src/cli/demo/verdict.sql.ts';
import type { FaultName } from '../../src/simulator/faults/fault-catalogue.ts';
import type { ChaosOptions } from './chaos-options.ts';
import type { FeedReader } from './readers/feed-reader.ts';
import type { HttpFeedReader, HttpReaderCounts } from './readers/http-feed-reader.ts';
import type { Tally } from './tally.ts';

/** What a run has done and found. `--json` prints it. */
export interface ChaosResult extends Tally {
  readonly seed: number;
  readonly seconds: number;
  readonly expected: number;
  readonly stored: number;
  readonly lastPosition: number;
  readonly missing: number;
  readonly duplicates: number;
  readonly positionsMissing: number;
  /** Stored, but nothing that was ever served. */
  readonly contentMismatches: number;
  readonly organizationsExpected: number;
  readonly organizationsStored: number;
  readonly rowsRead: number;
  readonly readerViolations: number;
  readonly firstReaderViolations: readonly string[];
  /** Of the reader of `GET /v1/events`. */
  readonly http: HttpReaderCounts & { readonly events: number; readonly firstViolations: readonly string[] };
  /** False where some source had not been read to the end, or not by every settle pass, when the timeout ended. */
  readonly caughtUp: boolean;
  /** How often each fault of the simulated Cloudflare has happened while it ran (those of the history come before). */
  readonly faults: Readonly<Partial<Record<FaultName, number>>>;
}

export const resultOf = (run: {
  readonly options: ChaosOptions;
  readonly durationMs: number;
  readonly complete: boolean;
  readonly comparison: Comparison;
  readonly reader: FeedReader;
  readonly httpReader: HttpFeedReader;
  readonly tally: Tally;
  readonly faults: ChaosResult['faults'];
}): ChaosResult => {
  const { expected, stored, missing, extra, duplicates, positionsMissing } = run.comparison;
  return {
    seed: run.options.seed,
    seconds: Math.round(run.durationMs / 1_000),
    ...run.tally,
    expected,
    stored,
    lastPosition: stored + positionsMissing,
    missing,
    duplicates,
    positionsMissing,
    contentMismatches: extra,
    organizationsExpected: run.comparison.organizationsExpected,
    organizationsStored: run.comparison.organizationsStored,
    rowsRead: run.reader.rows,
    readerViolations: run.reader.violationCount,
    firstReaderViolations: run.reader.violations,
    http: {
      events: run.httpReader.events,
      ...run.httpReader.counts,
      firstViolations: run.httpReader.violations,
    },
    caughtUp: run.complete,
    faults: run.faults,
  };
};

/** Nothing lost, doubled, changed, out of order or crashed. */
export const isSound = (result: ChaosResult): boolean =>
  result.missing + result.duplicates + result.positionsMissing + result.contentMismatches === 0 &&
  result.expected === result.stored &&
  result.organizationsExpected === result.organizationsStored &&
  result.rowsRead === result.stored &&
  result.readerViolations === 0 &&
  result.http.events === result.stored &&
  result.http.violations === 0 &&
  result.crashes.length === 0 &&
  result.caughtUp;

/** These happen to entries, all others to responses. */
const ofEntries: readonly string[] = ['late', 'equal_timestamps', 'out_of_order', 'unknown_enums', 'cf_rayid'];

const wireAndPaging = (faults: ChaosResult['faults']): number =>
  Object.entries(faults).reduce((sum, [name, count]) => sum + (ofEntries.includes(name) ? 0 : count), 0);

/** The result as a table that is also Markdown, and a sentence. */
export const reportOf = (result: ChaosResult): string => {
  const rows: readonly (readonly [what: string, count: number])[] = [
    ['replicas killed (SIGKILL)', result.kills],
    ['of these, while they were stopped', result.killedWhileStopped],
    ['replicas stopped beyond their lease (SIGSTOP, SIGCONT)', result.stopsBeyondLease],
    ['PostgreSQL restarts (stop -m immediate, start)', result.postgresRestarts],
    ['faults of the wire and of paging', wireAndPaging(result.faults)],
    ['entries that came late while it ran', result.faults.late ?? 0],
    ['entries expected', result.expected],
    ['entries stored', result.stored],
    ['last position', result.lastPosition],
    ['entries missing', result.missing],
    ['duplicates', result.duplicates],
    ['positions missing', result.positionsMissing],
    ['content mismatches', result.contentMismatches],
    ['rows seen by the live reader', result.rowsRead],
    ['reader violations (gap, repeat, lower position, changed row)', result.readerViolations],
    ['events seen by the reader over HTTP', result.http.events],
    ['of its requests, answered', result.http.requests - result.http.unanswered - result.http.unavailable],
    ['without an answer (refused, broken off, silent)', result.http.unanswered],
    ['answered with 503 (no database)', result.http.unavailable],
    ['bodies that broke off in the middle', result.http.cut],
    ['bodies that the reader cut itself', result.http.left],
    ['times it stopped reading in the middle of a body', result.http.stalls],
    ['violations over HTTP (as above, 409, a body that lies about its end)', result.http.violations],
    ['fenced writes', result.fencedWrites],
    ['leases lost', result.leasesLost],
    ['starts given up because PostgreSQL was away', result.endedWithoutDatabase],
    ['crashes of a replica', result.crashes.length],
  ];
  const width = Math.max(...rows.map(([what]) => what.length));
  const line = (what: string, count: string) => `| ${what.padEnd(width)} | ${count.padStart(9)} |`;
  return [
    line(`seed ${result.seed}, ${result.seconds} s`, 'count'),
    `| ${'-'.repeat(width)} | --------: |`,
    ...rows.map(([what, count]) => line(what, count.toLocaleString('en'))),
    '',
    ...result.firstReaderViolations,
    ...result.http.firstViolations.map((violation) => `over HTTP: ${violation}`),
    ...result.crashes,
    ...(result.caughtUp ? [] : ['Some source was not read to its end, or not by every settle pass, in time.']),
    isSound(result)
      ? 'Every entry is stored, once each, to the byte; the readers missed nothing.'
      : `The store or the feed is NOT what it should be. Again: npm run chaos -- --seed ${result.seed}`,
    '',
  ].join('\n');
};
