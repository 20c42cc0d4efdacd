import { type BundleReader, changesPaths } from '../bundle/layout.ts';
import { EvidenceFault, sha256 } from '../bytes.ts';
import { before, microsecondsOf, readInterval, timesOfMonth } from '../journal/instants.ts';
import { isInPositions, unitedPositions } from '../journal/ranges.ts';
import type { StatementOf } from '../journal/statement.ts';
import { readLines, readStrictJson } from '../journal/statement-text.ts';
import { NO_SOURCE } from '../leaf.ts';
import type { LeafStates } from './leaf-states.ts';
import type { Content } from './partial.ts';
import type { Report } from './report.ts';

type Drop = StatementOf<'drop'>;

/**
 * A drop has all parts and the stated size, no position twice or beyond the tree, and is neither earlier than the retention
 * in force nor against a legal hold that certainly had events of it.
 */
export const verifyDrops = (report: Report, content: Content): void => {
  const { statements, states } = content;
  const drops = statements.of('drop');
  const holds = holdsOf(report, statements.of('hold'));
  for (const drop of drops) {
    verifyTime(report, drop);
    verifyHolds(report, drop, holds, content);
  }
  verifyParts(report, drops);
  verifyRanges(report, drops, statements.of('jump'), states);
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

const verifyHolds = (report: Report, drop: Drop, holds: readonly HoldInTime[], content: Content): void => {
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
      const position = isOfAll(hold) ? drop.positions[0]?.[0] : heldPosition(drop, hold, content);
      const at = isOfAll(hold) ? undefined : position;
      if (position !== undefined) report.fault('drop', `month ${month} was dropped against legal hold ${id}`, at);
    } else if (isOfAll(hold) && isHeld(hold, month, statedUs)) {
      report.note(`that month ${month} was dropped before legal hold ${id} was added, as its drop says`);
    }
  }
};

const heldPosition = ({ positions }: Drop, hold: HoldInTime, { states, sources }: Content) => {
  const source = heldSource(hold);
  const number = source === undefined ? NO_SOURCE : sources.find(source.kind, source.id);
  if (number === NO_SOURCE) return undefined;
  for (const index of states.indexesIn(positions)) {
    if (states.stateOf(index) === 'dropped' && states.sourceOf(index) === number) return index + 1;
  }
  return undefined;
};

/** One after the other, with the same month and count. */
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

/** Nor was one dropped and left out; what was left out never had an event. */
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
  for (const range of unitedPositions(leftOut)) {
    for (const index of states.indexesIn([range])) {
      if (['hole', 'hidden'].includes(states.stateOf(index))) continue;
      report.fault('leaf', `event ${index + 1} was left out by a jump, and has a leaf of an event`, index + 1);
      break;
    }
  }
};

type Hold = StatementOf<'hold'>;

interface HoldInTime {
  readonly hold: Hold;
  readonly fromUs: bigint;
  /** Undefined: in force. */
  readonly untilUs: bigint | undefined;
}

const holdsOf = (report: Report, statements: readonly Hold[]): HoldInTime[] => {
  const holds = new Map<number, HoldInTime>();
  for (const hold of statements) {
    const { id, action, created_at: createdAt, released_at: releasedAt } = hold;
    const before = holds.get(id);
    if (action === 'added') {
      if (before !== undefined) report.fault('hold', `legal hold ${id} is added twice`);
      else holds.set(id, { hold, fromUs: microsecondsOf(createdAt) ?? 0n, untilUs: undefined });
    } else if (before === undefined) report.fault('hold', `legal hold ${id} is released, and was not added`);
    else if (before.untilUs !== undefined) report.fault('hold', `legal hold ${id} is released twice`);
    else if (releasedAt === null) report.fault('hold', `legal hold ${id} is released, and it is not said when`);
    else holds.set(id, { ...before, untilUs: microsecondsOf(releasedAt) });
  }
  return [...holds.values()];
};

/** A statement that does not say it was made soon after. */
const droppedUs = ({ dropped_at: droppedAt, at }: Drop): bigint => microsecondsOf(droppedAt ?? at) ?? 0n;

/** Over all of a month: of a part it may have had no events. */
const isHeld = ({ hold, fromUs, untilUs }: HoldInTime, month: string, atUs: bigint): boolean => {
  const times = timesOfMonth(month);
  if (times === undefined || fromUs > atUs || (untilUs !== undefined && untilUs <= atUs)) return false;
  const isFromStart = hold.since === null || (microsecondsOf(hold.since) ?? 0n) <= times.startUs;
  return isFromStart && (hold.before === null || (microsecondsOf(hold.before) ?? 0n) >= times.endUs);
};

const isOfAll = ({ hold }: HoldInTime): boolean => hold.organization_id === null && hold.account_id === null;

/** Undefined if the hold is not of a whole log. */
const heldSource = ({ hold }: HoldInTime): { readonly kind: string; readonly id: string } | undefined => {
  const { organization_id: organization, account_id: account } = hold;
  if (organization !== null && account !== null) return undefined;
  if (account !== null) return { kind: 'account', id: account };
  return organization === null ? undefined : { kind: 'organization', id: organization };
};

/** All that were stated, and no others. Later content of a dropped event went with it. */
export const verifyChanges = (report: Report, reader: BundleReader, { statements, states }: Content): void => {
  const stated = new Map(statements.of('change').map((one) => [keyOf(one.position, one.raw_sha256), one]));
  const { size } = stated;
  for (const path of changesPaths) {
    const bytes = reader.read(path);
    if (bytes === undefined) continue;
    const lines = report.attempt('change', path, () => readLines(bytes, 'it')) ?? [];
    for (const [index, line] of lines.entries()) {
      report.attempt('change', `line ${index + 1} of ${path}`, () => {
        const content = readContent(line);
        const key = keyOf(content.position, sha256(content.raw).toString('hex'));
        if (!isStated(content, stated.get(key)))
          throw new EvidenceFault('it is not what a statement says, or is there twice');
        stated.delete(key);
      });
    }
  }
  const dropped = unitedPositions(statements.of('drop').flatMap(({ positions }) => positions));
  let gone = 0;
  let withheld = 0;
  for (const { position } of stated.values()) {
    // The later content goes with the content.
    if (report.time !== undefined && ['withheld', 'unshown'].includes(states.stateOf(position - 1))) withheld += 1;
    else if (isInPositions(dropped, position)) gone += 1;
    else report.fault('change', `the later content of event ${position} is stated, and not in the bundle`, position);
  }
  if (withheld > 0) report.note(`what ${withheld} later contents are: their events are not of the time of the bundle`);
  const here = size - gone - withheld;
  if (here > 0) report.claim(['journal', 'change'], `${here} later contents of events are those that were stated`);
  if (gone > 0) report.note(`what ${gone} later contents were: their events were dropped`);
};

interface LaterContent {
  readonly position: number;
  readonly raw: Buffer;
  /** May be left out. */
  readonly event_id?: unknown;
  readonly seen_at?: unknown;
}

const keyOf = (position: number, rawSha256: string): string => `${position} ${rawSha256}`;

const isStated = (content: LaterContent, change: StatementOf<'change'> | undefined): boolean => {
  if (change?.length !== content.raw.length) return false;
  const { event_id: id = change.event_id, seen_at: seenAt = change.seen_at } = content;
  const us = typeof seenAt === 'string' ? microsecondsOf(seenAt) : undefined;
  return id === change.event_id && us === microsecondsOf(change.seen_at);
};

const fields = new Set(['position', 'event_id', 'seen_at', 'raw']);

const readContent = (line: string): LaterContent => {
  const value = (readStrictJson(line, 'it') ?? {}) as Readonly<Record<string, unknown>>;
  const { position, raw } = value;
  const isKnown = Object.keys(value).every((name) => fields.has(name));
  if (typeof position !== 'number' || typeof raw !== 'string' || !isKnown)
    throw new EvidenceFault('it is not position, event_id, seen_at and raw');
  return { ...value, position, raw: Buffer.from(raw) };
};
