import type { BundleReader } from '../../bundle/layout.ts';
import type { LeafList } from '../../bundle/leaf-list.ts';
import { NO_SOURCE } from '../../leaves/source-chain.ts';
import type { LeafStates } from '../leaf-states.ts';
import type { Report } from '../report.ts';
import type { SourceNumbers } from '../source-numbers.ts';
import type { SignedStatements, VerifiedLogs } from '../verify-journal.ts';
import { concludeTime, type EventsOfTime, withoutContent } from './of-a-time.ts';

/** What a bundle of one source has in common with one of all. */
export interface PartContent {
  readonly statements: SignedStatements;
  readonly states: LeafStates;
  readonly sources: SourceNumbers;
  readonly ofTime: EventsOfTime;
}

/** The source that the statements of the bundle name; a fault if they name none, or several. */
export const verifySource = (
  report: Report,
  reader: BundleReader,
  { statements, states, sources }: PartContent,
): void => {
  const named = [
    ...statements.of('source').map(({ kind, id }) => ({ kind, id })),
    ...statements.of('coverage').map(({ source_kind: kind, source_id: id }) => ({ kind, id })),
  ];
  const [source] = named;
  if (source === undefined) report.fault('source', 'no statement of the bundle names its source');
  else report.source = source;
  const other = named.find(({ kind, id }) => kind !== source?.kind || id !== source.id);
  if (source !== undefined && other !== undefined)
    report.fault(
      'source',
      `the bundle is of ${source.kind} ${source.id}, and has a statement of ${other.kind} ${other.id}`,
    );
  for (const path of reader.paths) {
    if (path.startsWith('events/sources/')) report.fault('source', `${path} is in a bundle of one source`);
  }
  const number = source === undefined ? NO_SOURCE : sources.find(source.kind, source.id);
  for (let index = 0; index < states.size; index += 1) states.believeSource(index, number);
};

/** That what was cut out of the log is all of one source, up to where its last coverage statement says so. */
export const verifyCompleteness = (
  report: Report,
  { events, journal }: VerifiedLogs,
  listed: LeafList,
  { statements, states, sources, ofTime }: PartContent,
): void => {
  const { source } = report;
  if (source === undefined) return;
  const name = `${source.kind} ${source.id}`;
  if (listed.count > 0 && sources.find(source.kind, source.id) === NO_SOURCE)
    report.fault('source', `${name} has leaves, and no statement gives it a number`);
  for (const { position } of statements.of('change')) {
    if (listed.placeOf(position - 1) === undefined)
      report.fault('change', `event ${position}, which a statement says was changed, is not listed`, position);
  }
  const last = statements.of('coverage').at(-1);
  if (last === undefined) {
    report.fault('coverage', `there is no coverage statement of ${name}: nothing shows that these are all its events`);
    return;
  }
  const until = last.tree.size;
  const later = listed.count - listed.countBelow(until);
  report.claimAsBelieved(
    ['chain', 'coverage', 'journal', 'leaf', 'missing', 'payload', 'source', 'statement'],
    `these are all events of ${name} up to position ${until}: ${last.events}${report.time === undefined ? '' : ', some without their content'}`,
  );
  report.claimAsBelieved(
    ['leaf', 'missing', 'payload', 'source'],
    `of ${listed.count} events of ${name} ${states.count('present')} are as they were hashed, and ${states.count('dropped')} were dropped as stated${withoutContent(report, states)}`,
  );
  concludeTime(report, { statements, states, ofTime }, { name, until });
  if (events.size > until)
    report.note(`that none of the events of ${name} after position ${until} is left out: ${later} are here`);
  report.note(
    `what ${journal.size - (journal.listed?.count ?? 0)} statements say that are not in the bundle, and the events of other sources`,
  );
};
