import type { z } from 'zod';
import { microsecondsOf } from '../../journal/instants.ts';
import type { unknownStatement } from '../../journal/statement.ts';
import { parseOrigin } from '../../notes/origin.ts';
import type { Report } from '../report.ts';
import type { VerifiedLog } from '../verified-log.ts';

/** What every statement has, and its place. */
export interface PlacedStatement {
  readonly index: number;
  readonly head: z.infer<typeof unknownStatement>;
}

/**
 * That a journal begins as its generation does, with `genesis` or with `fork`, that these come once, and that the tree never gets smaller
 * from a statement to the next one: statements are appended while it grows.
 */
export const verifyOrder = (
  report: Report,
  statements: readonly PlacedStatement[],
  { events, journal }: { readonly events: VerifiedLog; readonly journal: VerifiedLog },
): void => {
  if (journal.size === 0 && events.size > 0) report.fault('journal', 'the journal is empty: it has no genesis');
  let [size, hasGenesis, backwards, atUs] = [0, false, 0, 0n];
  for (const { index, head } of statements) {
    const { type, tree } = head;
    const where = `statement ${index + 1}`;
    if (index === 0) verifyFirst(report, type, journal.origin);
    else if (type === 'fork') report.fault('journal', `${where} is a fork, which only the first one can be`);
    if (type === 'genesis' && (hasGenesis || index > 1)) report.fault('journal', `${where} is another genesis`);
    hasGenesis ||= type === 'genesis';
    if (tree.size < size)
      report.fault('journal', `${where} speaks of a tree of ${tree.size}, after one that speaks of ${size}`);
    size = tree.size;
    const us = microsecondsOf(head.at) ?? 0n;
    if (us < atUs) backwards += 1;
    atUs = us;
  }
  if (backwards > 0)
    report.note(`when ${backwards} statements were made: they are dated before those that precede them`);
};

const verifyFirst = (report: Report, type: string, origin: string): void => {
  const named = report.attempt('checkpoint', 'journal/checkpoint', () => parseOrigin(origin));
  if (named === undefined) return;
  const { generation } = named;
  const wanted = generation === 1 ? 'genesis' : 'fork';
  if (type !== wanted)
    report.fault(
      'journal',
      `statement 1 is a ${type}, and a journal of generation ${generation} begins with ${wanted}`,
    );
};
