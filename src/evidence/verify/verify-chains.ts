import type { StatementOf } from '../journal/statement.ts';
import { chained, chainStart, NO_SOURCE, type SourceChain } from '../leaves/source-chain.ts';
import type { LeafStates } from './leaf-states.ts';
import type { Report } from './report.ts';
import type { SourceNumbers } from './source-numbers.ts';
import type { VerifiedLog } from './verified-log.ts';
import { hasKnownSource } from './verify-absent.ts';

/**
 * That each coverage statement has the count and the chain of its source as the leaves give them at its size. Where the source of a
 * dropped leaf is not known, no chain behind it can be compared: that is said, and is no fault.
 */
export const verifyChains = (
  report: Report,
  events: VerifiedLog,
  states: LeafStates,
  sources: SourceNumbers,
  statements: readonly StatementOf<'coverage'>[],
): void => {
  const bySize = statements.toSorted((one, other) => one.tree.size - other.tree.size);
  const chains = new Map<number, SourceChain>();
  let compared = 0;
  let index = 0;
  for (const statement of bySize) {
    for (; index < statement.tree.size; index += 1) {
      if (!hasKnownSource(states, index)) break;
      const source = states.sourceOf(index);
      if (source !== NO_SOURCE) chains.set(source, chained(chains.get(source) ?? chainStart, events.leafHash(index)));
    }
    if (index < statement.tree.size) break;
    const source = sources.find(statement.source_kind, statement.source_id);
    compareChain(report, statement, chains.get(source) ?? chainStart);
    compared += 1;
  }
  if (compared > 0) report.claims.push(`${compared} coverage statements have the count and chain of their sources`);
  if (compared < bySize.length) {
    report.notClaimed.push(
      `the chains of ${bySize.length - compared} coverage statements: the source of event ${index + 1} is not known`,
    );
  }
};

const compareChain = (report: Report, statement: StatementOf<'coverage'>, { events, chain }: SourceChain): void => {
  const { source_kind: kind, source_id: id, tree } = statement;
  if (events !== statement.events) {
    report.fault(
      'chain',
      `${kind} ${id} has ${events} events among the first ${tree.size}, and ${statement.events} are stated`,
    );
  } else if (Buffer.from(chain).toString('hex') !== statement.chain) {
    report.fault('chain', `the events of ${kind} ${id} among the first ${tree.size} are not chained as stated`);
  }
};
