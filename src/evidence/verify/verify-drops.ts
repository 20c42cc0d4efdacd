import type { StatementOf } from '../journal/statement.ts';
import type { Report } from './report.ts';
import type { SignedStatements } from './verify-journal.ts';

type Drop = StatementOf<'drop'>;
type Hold = StatementOf<'hold'>;

/**
 * That what was dropped is as large as was stated, no position twice and none that the tree did not have, not earlier than the retention
 * that was in force, and not against a legal hold of all of it.
 */
export const verifyDrops = (report: Report, statements: SignedStatements): void => {
  const drops = statements.of('drop');
  const holds = statements.of('hold');
  for (const drop of drops) {
    const { month, positions, tree, retention, at } = drop;
    const last = Math.max(0, ...positions.map(([, to]) => to - 1));
    if (last > tree.size) report.fault('drop', `month ${month} was dropped with event ${last}, beyond the tree`, last);
    if (isTooEarly(drop))
      report.fault('drop', `month ${month} was dropped at ${at}, within the retention of ${retention}`);
    const hold = holds.find((one) => covers(one, drop, holds));
    if (hold !== undefined) report.fault('drop', `month ${month} was dropped at ${at} against legal hold ${hold.id}`);
  }
  verifyCounts(report, drops);
  if (drops.length > 0) {
    report.notClaimed.push(
      'that no dropped event was under a legal hold of an organization, an account or a part of a month',
    );
  }
};

const verifyCounts = (report: Report, drops: readonly Drop[]): void => {
  const ranges = drops.flatMap(({ positions }) => positions).sort(([a], [b]) => a - b);
  for (const [index, [from]] of ranges.entries()) {
    if (from < (ranges[index - 1]?.[1] ?? 0)) report.fault('drop', `event ${from} was dropped twice`, from);
  }
  let [stated, parts] = [0, 0];
  for (const { month, events, positions, part, parts: of } of drops) {
    if (part === 1) [stated, parts] = [0, 0];
    stated += positions.reduce((sum, [from, to]) => sum + to - from, 0);
    parts += 1;
    if (part !== parts) report.fault('drop', `part ${part} of the drop of month ${month} stands alone`);
    else if (part === of && stated !== events) {
      report.fault('drop', `the drop of month ${month} has ${stated} positions, and ${events} events are stated`);
    }
  }
};

/** The first and the last instant of a month in UTC; undefined for events without a time. */
const timesOf = (month: string): { readonly startMs: number; readonly endMs: number } | undefined => {
  const startMs = Date.parse(`${month}-01T00:00:00Z`);
  if (Number.isNaN(startMs)) return undefined;
  const end = new Date(startMs);
  end.setUTCMonth(end.getUTCMonth() + 1);
  return { startMs, endMs: end.getTime() };
};

const isTooEarly = ({ month, retention, at }: Drop): boolean => {
  const endMs = timesOf(month)?.endMs;
  return endMs !== undefined && endMs + leastMs(retention) > Date.parse(at);
};

/** How long an interval of PostgreSQL is at least: a month of it may have 28 days. What cannot be read counts nothing. */
const leastMs = (interval: string): number => {
  const days: Record<string, number> = { year: 365, mon: 28, day: 1 };
  const parts = [...interval.matchAll(/(\d+) (year|mon|day)s?/g)];
  return parts.reduce((sum, [, amount, unit = '']) => sum + Number(amount) * (days[unit] ?? 0), 0) * 86_400_000;
};

/** Whether a hold of everything was in force when this was dropped, over all of its time: of a part, it may have had no events. */
const covers = (hold: Hold, { month, at }: Drop, holds: readonly Hold[]): boolean => {
  const isGlobal = hold.organization_id === null && hold.account_id === null;
  if (hold.action !== 'added' || !isGlobal || hold.created_at > at) return false;
  const released = holds.find(({ action, id }) => action === 'released' && id === hold.id)?.released_at;
  if (released !== undefined && released !== null && released <= at) return false;
  const times = timesOf(month);
  if (times === undefined) return hold.since === null;
  const isFromStart = hold.since === null || Date.parse(hold.since) <= times.startMs;
  const isToEnd = hold.before === null || Date.parse(hold.before) >= times.endMs;
  return isFromStart && isToEnd;
};
