import type { FeedEvent } from '../../../src/formats/format.ts';
import { textDefects } from '../../../src/ingest/entries/entry.ts';
import { type CarefulEntry, readCarefully, readPage } from '../../../src/ingest/entries/page.ts';
import { defectNames } from '../../../src/simulator/entries/entry-defects.ts';
import { FaultPlan } from '../../../src/simulator/faults/fault-plan.ts';
import type { Account } from '../../../src/simulator/world/accounts.ts';
import { BaseHistory, DefectDeal } from '../../../src/simulator/world/base-history.ts';
import { organizationVoice } from '../../../src/simulator/world/organizations.ts';
import { UserEntries } from '../../../src/simulator/world/user-entries.ts';
import { accountEntries } from '../../support/sync/account-entries.ts';
import { hashed } from '../../support/sync/defective-entries.ts';

export const seed = 5;
const organizations = ['019c4f65e7607d8c9f6f6b58aa3aff50', '019c4f65e7607d8c9f6f6b58aa3aff51', 'a7b9c3d2e8f4g1h5'];
const receivedAt = '2026-10-01T00:00:30.123456Z';

/** The event that the store makes of an entry. */
const storedEvent = (entry: CarefulEntry, position: number, organizationId: string): FeedEvent => ({
  position,
  feedId: '0f8fad5b-d9cb-469f-a165-70867728950e',
  sourceKind: 'organization',
  sourceId: organizationId,
  organizationId,
  organizationName: position % 7 === 0 ? null : 'Northwind "Traders" | Björn=Co',
  accountId: null,
  accountName: null,
  zoneId: null,
  zoneName: null,
  id: entry.id ?? hashed(entry.text),
  actionTime: entry.actionTime ?? null,
  receivedAt,
  rawText: entry.defects.some((defect) => textDefects.includes(defect)) ? JSON.stringify(entry.text) : entry.text,
  defects: entry.defects.length === 0 ? null : entry.defects,
});

const columnOf = ({ columnSource }: CarefulEntry, part: string, name: string): string | null => {
  const value: unknown = JSON.parse(columnSource)?.[part]?.[name];
  return typeof value === 'string' ? value : null;
};

/** The same of the log of an account, which may belong to no organization. */
export const storedAccountEvents = (
  texts: readonly string[],
  account: { readonly id: string; readonly organizationId: string | null },
  firstPosition = 1,
): FeedEvent[] =>
  readCarefully(readPage(`{"success":true,"result":[${texts.join(',')}]}`)).map((entry, index) => ({
    ...storedEvent(entry, firstPosition + index, ''),
    sourceKind: 'account',
    sourceId: account.id,
    organizationId: account.organizationId,
    organizationName: account.organizationId === null ? null : 'Northwind',
    accountId: columnOf(entry, 'account', 'id') ?? account.id,
    accountName: columnOf(entry, 'account', 'name'),
    zoneId: columnOf(entry, 'zone', 'id'),
    zoneName: columnOf(entry, 'zone', 'name'),
  }));

/** The events that the store makes of these entries of one organization. */
export const storedEvents = (texts: readonly string[], organizationId: string, firstPosition = 1): FeedEvent[] =>
  readCarefully(readPage(`{"success":true,"result":[${texts.join(',')}]}`)).map((entry, index) =>
    storedEvent(entry, firstPosition + index, organizationId),
  );

/** Many entries of several organizations: every defect but the largest, unknown words, the older name of the Ray id. */
export const simulatedEvents = (count: number, defectRate = 0.2): FeedEvent[] => {
  const faults = new FaultPlan(seed);
  const defects = defectNames.filter((name) => name !== 'large_entry');
  faults.patch({ defectRate, defects, unknown_enums: 0.2, cf_rayid: 0.1 });
  const each = Math.ceil(count / organizations.length);
  return organizations
    .flatMap((organizationId, n) => {
      const voice = organizationVoice(seed, organizationId);
      const deal = new DefectDeal(voice, faults);
      const endMs = Date.UTC(2026, 9, 1);
      const history = new BaseHistory({ voice, count: each, endMs, lengthMs: 90 * 86_400_000, faults, deal });
      const own = Array.from({ length: each }, (_, index) => history.text(index));
      const other = accountEntries(seed, organizationId, { count: each, endMs, lengthMs: 90 * 86_400_000 }, faults);
      const texts = own.map((text, index) => (index % 2 === 0 ? text : (other[index] ?? text)));
      return storedEvents(texts, organizationId, n * each + 1);
    })
    .slice(0, count);
};

/** Entries about users as the log of an account has them; half are sign-ins, and some of these fail. */
export const simulatedUserEvents = (count: number, firstPosition: number): FeedEvent[] => {
  const users = new UserEntries(seed, (voice) => voice);
  const account = { id: '5d41402abc4b2a76b9719d911017c592', name: 'Web' } as Account;
  const texts = Array.from({ length: count }, (_, n) =>
    users.text(n, Date.UTC(2026, 8, 1) + n * 1_000, [account], account),
  );
  return storedAccountEvents(texts, { id: account.id, organizationId: null }, firstPosition);
};
