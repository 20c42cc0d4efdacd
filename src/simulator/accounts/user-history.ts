import type { FaultPlan } from '../faults/fault-plan.ts';
import type { NewEntry } from '../world/audit-log.ts';
import { lateness } from '../world/base-history.ts';
import type { EntryOrder } from '../world/new-entry.ts';
import { draw, keyOf } from '../world/random.ts';
import type { SourceRef } from '../world/source.ts';
import type { Account, AccountRegistry } from './account-registry.ts';
import type { UserEntries } from './user-entries.ts';

/** One of so many entries of accounts is a copy of a user entry. */
const copyShare = 0.1;

interface Copies {
  readonly number: number;
  readonly timeMs: number;
  readonly reach: readonly Account[];
}

/** The user entries of the past, and how many copies of them there are in all. */
export interface UserHistory {
  readonly events: readonly Copies[];
  readonly total: number;
}

/** What user entries are put into. */
interface Logs {
  readonly faults: FaultPlan;
  readonly userEntries: UserEntries;
  readonly accounts: AccountRegistry;
  nowMs(): number;
  append(source: SourceRef, entry: NewEntry): void;
}

/** Plans the user entries of the past so that their copies are about a tenth of all entries of accounts. */
export function planUserHistory(
  userEntries: UserEntries,
  accounts: AccountRegistry,
  { entries, endMs, lengthMs }: { readonly entries: number; readonly endMs: number; readonly lengthMs: number },
): UserHistory {
  const events: { number: number; reach: readonly Account[] }[] = [];
  let total = 0;
  while (total < Math.floor(entries * copyShare)) {
    const number = userEntries.take();
    const reach = userEntries.reach(number, accounts);
    if (reach.length === 0 || total + reach.length > entries) break;
    events.push({ number, reach });
    total += reach.length;
  }
  const spacingMs = lengthMs / Math.max(1, events.length);
  const timed = events.map(({ number, reach }, n) => {
    const timeMs = Math.floor(endMs - lengthMs + n * spacingMs);
    return { number, reach, timeMs: timeMs - (timeMs % 1000) };
  });
  return { events: timed, total };
}

/** Puts the planned entries into the logs of their accounts. */
export function addUserHistory(logs: Logs, { events }: UserHistory): void {
  for (const event of events) appendCopies(logs, event, {});
}

/** One user entry more, in every account that its person may use or in those named. */
export function appendUserEntry(logs: Logs, order: EntryOrder, accounts?: readonly Account[]): void {
  const number = logs.userEntries.take();
  const reach = accounts ?? logs.userEntries.reach(number, logs.accounts);
  appendCopies(logs, { number, timeMs: order.timeMs, reach }, order);
}

function appendCopies(logs: Logs, { number, timeMs, reach }: Copies, order: Partial<EntryOrder>): void {
  const { faults, userEntries } = logs;
  for (const account of reach) {
    const source: SourceRef = { kind: 'account', id: account.id };
    // Each copy arrives on its own.
    const occasion = { number: draw(keyOf(account.id), number), source };
    const late = order.visibleAtMs === undefined ? faults.fires('late', occasion) : undefined;
    const lateAtMs = late === undefined ? 0 : timeMs + lateness(late, faults.parameters.lateDelayMs);
    const { id, name } = account;
    const text = (): string => userEntries.text(number, timeMs, reach, { id, name });
    logs.append(source, { timeMs, visibleAtMs: order.visibleAtMs ?? lateAtMs, text });
  }
}
