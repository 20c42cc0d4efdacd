import type { StatementOf } from '../journal/statement.ts';
import { chained, chainStart, NO_SOURCE, type SourceChain } from '../leaves/source-chain.ts';
import type { LeafStates } from './leaf-states.ts';
import type { Report } from './report.ts';
import type { SourceNumbers } from './source-numbers.ts';
import type { VerifiedLog } from './verified-log.ts';
import { hasKnownSource } from './verify-absent.ts';

type Coverage = StatementOf<'coverage'>;

/**
 * That each coverage statement has the count and the chain of its source as the leaves give them at its size. Where the sources of dropped
 * leaves are not known, the stated count must lie between what is known and what is possible; a chain that cannot be compared is no fault.
 * Gives those that were compared.
 */
export const verifyChains = (
  report: Report,
  events: VerifiedLog,
  states: LeafStates,
  sources: SourceNumbers,
  statements: readonly Coverage[],
): ReadonlySet<Coverage> => {
  // Of a tree that is not here, nothing can be said: that is a fault already.
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
const compareChain = (
  report: Report,
  statement: Coverage,
  { events, chain }: SourceChain,
  unknown: number,
): boolean => {
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
