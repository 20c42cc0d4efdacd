import { microsecondsOf } from '../../journal/instants.ts';
import { timesOfMonth } from '../../journal/retention.ts';
import type { StatementOf } from '../../journal/statement.ts';
import type { Report } from '../report.ts';

type Hold = StatementOf<'hold'>;
type Drop = StatementOf<'drop'>;

/** A legal hold from when it was added to when it was released. */
export interface HoldInTime {
  readonly hold: Hold;
  readonly fromUs: bigint;
  /** Undefined: it is in force. */
  readonly untilUs: bigint | undefined;
}

/** The holds of a journal; one that is added twice, or released without having been added, is a fault. */
export const holdsOf = (report: Report, statements: readonly Hold[]): HoldInTime[] => {
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

/** When a month was dropped; a statement that does not say it was made soon after. */
export const droppedUs = ({ dropped_at: droppedAt, at }: Drop): bigint => microsecondsOf(droppedAt ?? at) ?? 0n;

/** Whether a hold was in force at an instant, over all of a month. Of a part of the month it may have had no events. */
export const isHeld = ({ hold, fromUs, untilUs }: HoldInTime, month: string, atUs: bigint): boolean => {
  const times = timesOfMonth(month);
  if (times === undefined || fromUs > atUs || (untilUs !== undefined && untilUs <= atUs)) return false;
  const isFromStart = hold.since === null || (microsecondsOf(hold.since) ?? 0n) <= times.startUs;
  return isFromStart && (hold.before === null || (microsecondsOf(hold.before) ?? 0n) >= times.endUs);
};

/** Of everything, not of an organization or an account. */
export const isOfAll = ({ hold }: HoldInTime): boolean => hold.organization_id === null && hold.account_id === null;

/** The log that a hold has as a whole; undefined if it is of something else, or of what an event was when it was stored. */
export const heldSource = ({ hold }: HoldInTime): { readonly kind: string; readonly id: string } | undefined => {
  const { organization_id: organization, account_id: account } = hold;
  if (organization !== null && account !== null) return undefined;
  if (account !== null) return { kind: 'account', id: account };
  return organization === null ? undefined : { kind: 'organization', id: organization };
};
