import { type BinaryFields, readEventRow } from '../append/logs.ts';
import { chained, chainStart, monthOf, NO_SOURCE, type SourceChain, saltOf, writeEventLeaf } from '../leaf.ts';
import type { Policy } from '../notes/policy.ts';
import { leafHash } from '../tree/tiles.ts';
import { type Anchor, verifyAnchors, verifyKeys, withStatedKeys } from '../verify/anchors.ts';
import { beginContent, endContent } from '../verify/content.ts';
import { openLogs, type VerifiedLogs } from '../verify/logs.ts';
import type { Content } from '../verify/partial.ts';
import { StatedReads } from '../verify/reads.ts';
import { Report } from '../verify/report.ts';
import { reportUnanchored, verifyFork } from '../verify/verify-bundle.ts';
import type { StoredChain, StoredEvidence } from './read-stored.sql.ts';

export interface StoredOptions {
  readonly policy: Policy;
  readonly anchors: readonly Anchor[];
  /** In order; a row is valid only while it is handed over. */
  readonly copyEvents: (until: number, take: (row: BinaryFields) => void) => Promise<void>;
  /** Without it nothing is claimed of the columns beside `raw`. */
  readonly compareColumns?: ((report: Report, until: number) => Promise<void>) | undefined;
}

/** Hashes every stored event again: the tree must be that of the last signed checkpoint. */
export const verifyStored = async (
  { reader, monthKeys, chains, copyReads, outside }: StoredEvidence,
  { policy, anchors, copyEvents, compareColumns }: StoredOptions,
): Promise<Report> => {
  const report = new Report();
  const logs = openLogs(report, reader, policy, false);
  if (logs === undefined) return report;
  const content = beginContent(report, reader, logs);
  const reads = new StatedReads(report, content.statements.of('coverage'));
  await copyReads((line) => reads.take(line, 'the list of reads'));
  reads.end();
  await copyEvents(logs.events.size, (row) => judge(report, row, logs, content, monthKeys));
  if (outside.count > 0) {
    const named = `${outside.positions.join(', ')}${outside.count > outside.positions.length ? ', …' : ''}`;
    report.fault('leaf', `${outside.count} events stand at positions that were never given out: ${named}`);
  }
  endContent(report, reader, logs, content);
  verifyFork(report, content.statements, logs.events, policy);
  verifyKeys(report, reader, { ...logs, statements: content.statements, policy });
  const { statements } = content;
  const anchored = { ...logs, policy: withStatedKeys(policy, statements), statements };
  if (verifyAnchors(report, anchors, anchored) > 0) report.isAnchored = true;
  reportUnanchored(report);
  verifyStoredChains(report, logs, content, chains);
  await compareColumns?.(report, logs.events.size);
  if (compareColumns === undefined) report.skip('whether the columns beside raw are what raw says: --columns');
  report.notClaimed.push('that Cloudflare told everything, and the truth');
  return report;
};

const judge = (
  report: Report,
  row: BinaryFields,
  { events }: VerifiedLogs,
  { states, sources }: Content,
  monthKeys: ReadonlyMap<string, Buffer>,
): void => {
  const event = readEventRow(row);
  const { position, sourceKind, sourceId } = event;
  const index = position - 1;
  if (states.stateOf(index) !== 'absent') {
    report.fault('leaf', `there are two events at position ${position}`, position);
    return;
  }
  const key = monthKeys.get(monthOf(event.actionTimeUs));
  const data = key && writeEventLeaf({ ...event, salt: saltOf(key, position) });
  if (data !== undefined && leafHash(data).equals(events.leafHash(index))) {
    states.set(index, 'present', sources.numberOf(report, { ...event, salt: Buffer.alloc(0) }));
    return;
  }
  states.set(index, 'faulty');
  const why = key === undefined ? 'has no key: its month was dropped' : 'is not the one in the tree';
  report.fault('leaf', `event ${position} of ${sourceKind} ${sourceId} ${why}`, position);
};

/** That coverage statements will have. */
const verifyStoredChains = (
  report: Report,
  { events }: VerifiedLogs,
  { states }: Content,
  stored: readonly StoredChain[] | undefined,
): void => {
  if (stored === undefined) {
    report.notClaimed.push('the chains of sources, which have more events by now than the checkpoint');
    return;
  }
  const chains = new Map<number, SourceChain>();
  for (let index = 0; index < events.size; index += 1) {
    const source = states.sourceOf(index);
    if (source !== NO_SOURCE) chains.set(source, chained(chains.get(source) ?? chainStart, events.leafHash(index)));
  }
  for (const { number, kind, id, events: count, chain } of stored) {
    const made = chains.get(number) ?? chainStart;
    if (made.events !== count || !chain.equals(made.chain))
      report.fault('chain', `the stored chain of ${kind} ${id} is not that of its ${made.events} events`);
  }
};
