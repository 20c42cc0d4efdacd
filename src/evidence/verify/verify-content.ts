import type { BundleReader } from '../bundle/layout.ts';
import { unitedPositions } from '../journal/position-ranges.ts';
import { LeafStates } from './leaf-states.ts';
import { concludeTime, EventsOfTime, withoutContent } from './part/of-a-time.ts';
import { verifyCompleteness, verifySource } from './part/one-source.ts';
import type { Report } from './report.ts';
import { SourceNumbers } from './source-numbers.ts';
import { reportCoverage } from './statements/stated-coverage.ts';
import { verifyDrops } from './statements/verify-drops.ts';
import { countUndropped, verifyAbsent, verifyTileSources } from './verify-absent.ts';
import { verifyChains } from './verify-chains.ts';
import { verifyCoverage } from './verify-coverage.ts';
import { type SignedStatements, type VerifiedLogs, verifyJournal } from './verify-journal.ts';

/** What is known of the leaves of a log, while its payload is read. */
export interface Content {
  readonly statements: SignedStatements;
  readonly states: LeafStates;
  readonly sources: SourceNumbers;
  readonly ofTime: EventsOfTime;
}

/** Reads the statements. After it, each payload is to be compared with its leaf, and its state set. */
export const beginContent = (report: Report, reader: BundleReader, logs: VerifiedLogs): Content => {
  const statements = verifyJournal(report, reader, logs);
  const { size, listed } = logs.events;
  const states = new LeafStates(size);
  if (listed !== undefined) states.hideOthers(listed);
  return {
    statements,
    states,
    sources: new SourceNumbers(report, statements.of('source')),
    ofTime: new EventsOfTime(report),
  };
};

/** Verifies the rest, once the payload has been read. */
export const endContent = (report: Report, reader: BundleReader, logs: VerifiedLogs, content: Content): void => {
  const { events } = logs;
  const { statements, states, sources } = content;
  verifyAbsent(report, events, states, statements.of('drop'));
  if (events.listed === undefined) verifyTileSources(report, reader, states, sources, events.size);
  else verifySource(report, reader, content);
  const coverage = statements.of('coverage');
  const compared = verifyChains(report, events, states, sources, coverage);
  verifyCoverage(report, coverage);
  reportCoverage(report, coverage, (statement) => compared.has(statement));
  verifyDrops(report, statements, { states, sources });
  if (events.listed === undefined) concludeWhole(report, events.size, content);
  else verifyCompleteness(report, logs, events.listed, content);
  sayClock(report, statements);
  sayEnd(report, statements);
  const undropped = countUndropped(states, statements.of('drop'));
  if (undropped > 0) report.note(`that what was dropped is gone: ${undropped} events that drops name are here`);
  const adopted = adoptedOf(statements);
  if (adopted > 0) report.note(`what happened to the first ${adopted} events before they were hashed`);
};

/** What statements and events say of when is by the clock of the database. */
const sayClock = (report: Report, statements: SignedStatements): void => {
  for (const { at, before, ahead_seconds: ahead } of statements.of('clock')) {
    if (before !== null)
      report.note(
        `when things were stored and stated before ${at}: the clock of the database went back there, from ${before}, as stated`,
      );
    if (ahead !== null)
      report.note(
        `that the clock of the database was right at ${at}: it was ${ahead} seconds ahead of Cloudflare's, as stated`,
      );
  }
};

/** Of what is dropped later, no statement can be signed: who drops and who deletes look alike. */
const sayEnd = (report: Report, statements: SignedStatements): void => {
  const [end] = statements.of('end');
  if (end !== undefined)
    report.note(
      `whether events without content were dropped by retention after the end of the log, of ${end.at}: no statement could say so`,
    );
};

const adoptedOf = (statements: SignedStatements): number =>
  (statements.of('genesis')[0] ?? statements.of('fork')[0])?.adopted ?? 0;

/** That each leaf of the log is accounted for. */
const concludeWhole = (report: Report, size: number, { statements, states, ofTime }: Content): void => {
  const leftOut = leftOutFrom(0, states, statements);
  report.claimAsBelieved(
    ['missing'],
    `of ${size} events ${states.count('present')} are as they were hashed, ${states.count('dropped')} were dropped as ` +
      `stated, and ${states.count('hole') - leftOut} were dropped before they were hashed${withoutContent(report, states)}`,
  );
  concludeTime(report, { statements, states, ofTime }, { until: size });
  if (leftOut > 0) report.claim(['journal'], `${leftOut} positions were left out after failovers, as stated`);
  const adopted = adoptedOf(statements);
  const unexplained = states.countFrom(adopted, 'hole') - leftOutFrom(adopted, states, statements);
  if (unexplained > 0) report.note(`why ${unexplained} positions after the first ${adopted} never had an event`);
};

/** So many holes from this index on were left out by jumps, as stated. */
const leftOutFrom = (adopted: number, states: LeafStates, statements: SignedStatements): number => {
  let count = 0;
  for (const [from, to] of unitedPositions(statements.of('jump').flatMap(({ positions }) => positions))) {
    for (let index = Math.max(from - 1, adopted); index < Math.min(to - 1, states.size); index += 1) {
      if (states.stateOf(index) === 'hole') count += 1;
    }
  }
  return count;
};
