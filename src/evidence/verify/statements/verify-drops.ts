import type { PositionRange } from '../../journal/fields.ts';
import { microsecondsOf } from '../../journal/instants.ts';
import { unitedPositions } from '../../journal/position-ranges.ts';
import { before, readInterval, timesOfMonth } from '../../journal/retention.ts';
import type { StatementOf } from '../../journal/statement.ts';
import { NO_SOURCE } from '../../leaves/source-chain.ts';
import type { LeafStates } from '../leaf-states.ts';
import type { Report } from '../report.ts';
import type { SourceNumbers } from '../source-numbers.ts';
import type { SignedStatements } from '../verify-journal.ts';
import { droppedUs, type HoldInTime, heldSource, holdsOf, isHeld, isOfAll } from './verify-holds.ts';

type Drop = StatementOf<'drop'>;

/** What is known of the leaves that were dropped. */
export interface DroppedLeaves {
  readonly states: LeafStates;
  readonly sources: SourceNumbers;
}

/**
 * That a drop has all of its parts and is as large as was stated, of no position twice and none that the tree did not have, not earlier than
 * the retention that was in force, and not against a legal hold that certainly had events of it.
 */
export const verifyDrops = (report: Report, statements: SignedStatements, leaves: DroppedLeaves): void => {
  const drops = statements.of('drop');
  const holds = holdsOf(report, statements.of('hold'));
  for (const drop of drops) {
    verifyTime(report, drop);
    verifyHolds(report, drop, holds, leaves);
  }
  verifyParts(report, drops);
  verifyRanges(report, drops, statements.of('jump'), leaves.states);
  if (drops.length === 0) return;
  report.claim(['drop', 'hold'], `no month was dropped before its time, or against a legal hold of all of it`);
  report.note(
    'that no dropped event was under a legal hold of an account, an organization or a part of a month, unless a source shows it',
  );
  report.note('that each dropped event was of the month that its drop names');
};

const verifyTime = (report: Report, drop: Drop): void => {
  const { month, positions, tree, retention, at } = drop;
  const last = Math.max(0, ...positions.map(([, to]) => to - 1));
  if (last > tree.size) report.fault('drop', `month ${month} was dropped with event ${last}, beyond the tree`, last);
  const times = timesOfMonth(month);
  if (times === undefined) {
    report.fault('drop', `events without a time were dropped at ${at}, and are of no month that is old enough`);
    return;
  }
  const interval = readInterval(retention);
  if (interval === undefined) {
    report.note(`that month ${month} was dropped in time: its retention is ${JSON.stringify(retention)}`);
    return;
  }
  const [statedUs, us] = [microsecondsOf(at) ?? 0n, droppedUs(drop)];
  if (before(us < statedUs ? us : statedUs, interval) < times.endUs)
    report.fault('drop', `month ${month} was dropped at ${at}, within the retention of ${retention}`);
};

const verifyHolds = (report: Report, drop: Drop, holds: readonly HoldInTime[], leaves: DroppedLeaves): void => {
  const { month, at } = drop;
  const us = droppedUs(drop);
  const statedUs = microsecondsOf(at) ?? 0n;
  for (const named of drop.holds) {
    if (holds.every(({ hold }) => hold.id !== named))
      report.fault('hold', `the drop of month ${month} names legal hold ${named}, and no statement adds it`);
  }
  for (const hold of holds) {
    const { id } = hold.hold;
    if (isHeld(hold, month, us)) {
      const position = isOfAll(hold) ? drop.positions[0]?.[0] : heldPosition(drop, hold, leaves);
      if (position !== undefined)
        report.fault(
          'drop',
          `month ${month} was dropped against legal hold ${id}`,
          isOfAll(hold) ? undefined : position,
        );
    } else if (isOfAll(hold) && isHeld(hold, month, statedUs)) {
      report.note(`that month ${month} was dropped before legal hold ${id} was added, as its drop says`);
    }
  }
};

/** A position of a source that a hold has as a whole. */
const heldPosition = (
  { positions }: Drop,
  hold: HoldInTime,
  { states, sources }: DroppedLeaves,
): number | undefined => {
  const source = heldSource(hold);
  const number = source === undefined ? NO_SOURCE : sources.find(source.kind, source.id);
  if (number === NO_SOURCE) return undefined;
  for (const [from, to] of unitedPositions(positions)) {
    for (let index = from - 1; index < Math.min(to - 1, states.size); index += 1) {
      if (states.stateOf(index) === 'dropped' && states.sourceOf(index) === number) return index + 1;
    }
  }
  return undefined;
};

/** A drop goes in parts, one after the other, which say the same of all. */
const verifyParts = (report: Report, drops: readonly Drop[]): void => {
  const groups: Drop[][] = [];
  for (const drop of drops) {
    if (drop.part === 1 || groups.length === 0) groups.push([]);
    groups.at(-1)?.push(drop);
  }
  for (const parts of groups) {
    const { month, events } = parts[0] as Drop;
    const isComplete = parts.every(
      (one, index) =>
        one.part === index + 1 && one.parts === parts.length && one.month === month && one.events === events,
    );
    const stated = parts.flatMap(({ positions }) => positions).reduce((sum, [from, to]) => sum + to - from, 0);
    if (!isComplete) report.fault('drop', `the parts of the drop of month ${month} are not complete`);
    else if (stated !== events)
      report.fault('drop', `the drop of month ${month} has ${stated} positions, and ${events} events are stated`);
  }
};

/** No position was dropped twice, or left out twice, or both; what was left out never had an event. */
const verifyRanges = (
  report: Report,
  drops: readonly Drop[],
  jumps: readonly StatementOf<'jump'>[],
  states: LeafStates,
): void => {
  const dropped = drops.flatMap(({ positions }) => positions);
  const leftOut = jumps.flatMap(({ positions }) => positions);
  const ranges = [...dropped.map(([from, to]) => [from, to, 'drop'] as const), ...leftOut].sort(([a], [b]) => a - b);
  let end = 0;
  for (const [from, to] of ranges) {
    if (from < end) report.fault('drop', `event ${from} was dropped or left out twice`, from);
    end = Math.max(end, to);
  }
  for (const [from, to] of unitedPositions(leftOut)) verifyLeftOut(report, [from, to], states);
};

const verifyLeftOut = (report: Report, [from, to]: PositionRange, states: LeafStates): void => {
  for (let index = from - 1; index < Math.min(to - 1, states.size); index += 1) {
    if (['hole', 'hidden'].includes(states.stateOf(index))) continue;
    report.fault('leaf', `event ${index + 1} was left out by a jump, and has a leaf of an event`, index + 1);
    return;
  }
};
