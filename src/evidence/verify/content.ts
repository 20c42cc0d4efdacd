import { type BundleReader, isHidden, tileSourcesPath } from '../bundle/layout.ts';
import { unitedPositions } from '../journal/ranges.ts';
import type { PositionRange, StatementOf } from '../journal/statement.ts';
import { chained, chainStart, holeHash, NO_SOURCE, readTileSources, type SourceChain } from '../leaf.ts';
import { TILE_WIDTH, tilesOfLevel } from '../tree/tiles.ts';
import { reportCoverage, verifyCoverage } from './coverage.ts';
import { verifyDrops } from './drops.ts';
import { LeafStates, SourceNumbers } from './leaf-states.ts';
import { type SignedStatements, type VerifiedLogs, verifyJournal } from './logs.ts';
import {
  type Content,
  concludeTime,
  EventsOfTime,
  verifyCompleteness,
  verifySource,
  withoutContent,
} from './partial.ts';
import type { Report } from './report.ts';
import type { VerifiedLog } from './verified-log.ts';

/** Then each payload is to be compared with its leaf, and its state set. */
export const beginContent = (report: Report, reader: BundleReader, logs: VerifiedLogs): Content => {
  const statements = verifyJournal(report, reader, logs);
  const { size, listed } = logs.events;
  const states = new LeafStates(size);
  if (listed !== undefined) states.hideOthers(listed);
  const sources = new SourceNumbers(report, statements.of('source'));
  return { statements, states, sources, ofTime: new EventsOfTime(report) };
};

export const endContent = (report: Report, reader: BundleReader, logs: VerifiedLogs, content: Content): void => {
  const { events } = logs;
  const { statements, states } = content;
  const dropped = statements.of('drop').flatMap(({ positions }) => positions);
  verifyAbsent(report, events, states, unitedPositions(dropped));
  if (events.listed === undefined) verifyTileSources(report, reader, content, events.size);
  else verifySource(report, reader, content);
  const coverage = statements.of('coverage');
  const compared = verifyChains(report, events, content, coverage);
  verifyCoverage(report, coverage);
  reportCoverage(report, coverage, (statement) => compared.has(statement));
  verifyDrops(report, content);
  if (events.listed === undefined) concludeWhole(report, events.size, content);
  else verifyCompleteness(report, logs, events.listed, content);
  reportClock(report, statements);
  reportEnd(report, statements);
  const undropped = states.countIn(dropped, ['present', 'withheld']);
  if (undropped > 0) report.note(`that what was dropped is gone: ${undropped} events that drops name are here`);
  const adopted = adoptedOf(statements);
  if (adopted > 0) report.note(`what happened to the first ${adopted} events before they were hashed`);
};

/** Statements and events say when by the clock of the database. */
const reportClock = (report: Report, statements: SignedStatements): void => {
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

/** No statement can be signed of what is dropped later: who drops and who deletes look alike. */
const reportEnd = (report: Report, statements: SignedStatements): void => {
  const [end] = statements.of('end');
  if (end !== undefined)
    report.note(
      `whether events without content were dropped by retention after the end of the log, of ${end.at}: no statement could say so`,
    );
};

const adoptedOf = (statements: SignedStatements): number =>
  (statements.of('genesis')[0] ?? statements.of('fork')[0])?.adopted ?? 0;

const concludeWhole = (report: Report, size: number, content: Content): void => {
  const { statements, states } = content;
  // By jumps, as stated.
  const jumped = statements.of('jump').flatMap(({ positions }) => positions);
  const leftOut = states.countIn(jumped, ['hole']);
  report.claimAsBelieved(
    ['missing'],
    `of ${size} events ${states.count('present')} are as they were hashed, ${states.count('dropped')} were dropped as ` +
      `stated, and ${states.count('hole') - leftOut} were dropped before they were hashed${withoutContent(report, states)}`,
  );
  concludeTime(report, content, { until: size });
  if (leftOut > 0) report.claim(['journal'], `${leftOut} positions were left out after failovers, as stated`);
  const adopted = adoptedOf(statements);
  const unexplained = states.countFrom(adopted, 'hole') - states.countIn(jumped, ['hole'], adopted);
  if (unexplained > 0) report.note(`why ${unexplained} positions after the first ${adopted} never had an event`);
};

type Coverage = StatementOf<'coverage'>;

/**
 * Where the sources of dropped leaves are not known, the stated count must lie between what is known and what is possible; a
 * chain that cannot be compared is no fault. Gives those that were compared.
 */
const verifyChains = (
  report: Report,
  events: VerifiedLog,
  { states, sources }: Content,
  statements: readonly Coverage[],
): ReadonlySet<Coverage> => {
  // A tree that is not here is a fault already.
  const here = statements.filter(({ tree }) => tree.size <= events.size);
  const bySize = here.toSorted((one, other) => one.tree.size - other.tree.size);
  const chains = new Map<number, SourceChain>();
  const compared = new Set<Coverage>();
  let [unknown, index] = [0, 0];
  for (const statement of bySize) {
    for (; index < statement.tree.size; index += 1) {
      const source = states.sourceOf(index);
      if (source !== NO_SOURCE) chains.set(source, chained(chains.get(source) ?? chainStart, events.leafHash(index)));
      else if (!hasKnownSource(states, index)) unknown += 1;
    }
    const source = sources.find(statement.source_kind, statement.source_id);
    if (compareChain(report, statement, chains.get(source) ?? chainStart, unknown)) compared.add(statement);
  }
  if (compared.size > 0)
    report.claim(
      ['chain', 'journal'],
      `${compared.size} coverage statements have the count and chain of their sources`,
    );
  if (compared.size < bySize.length) {
    report.note(
      `the chains of ${bySize.length - compared.size} coverage statements: of ${unknown} events the source is not known`,
    );
  }
  return compared;
};

/** False: it cannot be compared. */
const compareChain = (report: Report, statement: Coverage, { events, chain }: SourceChain, unknown: number) => {
  const { source_kind: kind, source_id: id, tree } = statement;
  if (events > statement.events || statement.events - events > unknown) {
    report.fault(
      'chain',
      `${kind} ${id} has ${events} events among the first ${tree.size}, and ${statement.events} are stated`,
    );
  } else if (events < statement.events) return false;
  else if (Buffer.from(chain).toString('hex') !== statement.chain) {
    report.fault('chain', `the events of ${kind} ${id} among the first ${tree.size} are not chained as stated`);
  }
  return true;
};

/** A leaf without payload must be in a stated drop, or a hole. In a bundle of a time, others are here as hashes alone. */
const verifyAbsent = (report: Report, events: VerifiedLog, states: LeafStates, dropped: readonly PositionRange[]) => {
  let at = 0;
  for (let index = 0; index < events.size; index += 1) {
    if (states.stateOf(index) !== 'absent') continue;
    const position = index + 1;
    while ((dropped[at]?.[1] ?? Number.POSITIVE_INFINITY) <= position) at += 1;
    if (holeHash(position).equals(events.leafHash(index))) {
      states.set(index, 'hole');
      if (events.listed !== undefined) report.fault('leaf', `event ${position} is listed, and is a hole`, position);
    } else if ((dropped[at]?.[0] ?? Number.POSITIVE_INFINITY) <= position) states.set(index, 'dropped');
    else if (report.time !== undefined) states.set(index, 'unshown');
    else report.fault('missing', `event ${position} has no payload, and no drop says why`, position);
  }
};

/** Of a dropped event, the source is believed until the chain is compared; of a hole, it must be none. */
const verifyTileSources = (report: Report, reader: BundleReader, { states, sources }: Content, size: number): void => {
  for (const tile of tilesOfLevel(size, 0)) {
    const path = tileSourcesPath(tile);
    const bytes = reader.read(path);
    if (bytes === undefined) continue;
    const numbers = report.attempt('source', path, () => readTileSources(bytes, tile.width)) ?? [];
    for (const [place, number] of numbers.entries()) {
      const index = tile.n * TILE_WIDTH + place;
      if (isSourceOf(states, index, number, sources)) states.believeSource(index, number);
      else report.fault('source', `${path} says that event ${index + 1} is of source ${number}`, index + 1);
    }
  }
  const known = new Set([...tilesOfLevel(size, 0)].map(tileSourcesPath));
  for (const path of reader.paths) {
    if (path.startsWith('events/sources/') && !known.has(path) && !isHidden(path))
      report.fault('source', `${path} is of no tile`);
  }
};

const isSourceOf = (states: LeafStates, index: number, number: number, sources: SourceNumbers): boolean => {
  const state = states.stateOf(index);
  if (state === 'dropped' || state === 'unshown') return sources.has(number);
  // What is neither there nor dropped is a fault already.
  return !['present', 'hole', 'withheld'].includes(state) || number === states.sourceOf(index);
};

/** Also if it has none, or is one that the bundle is not of. */
const hasKnownSource = (states: LeafStates, index: number): boolean =>
  states.stateOf(index) === 'hole' || states.stateOf(index) === 'hidden' || states.sourceOf(index) !== NO_SOURCE;
