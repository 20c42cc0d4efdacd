import { member, textMember } from '../../formats/audit-entry.ts';
import type { FoundEvent, SearchCoverage } from '../../search/found-event.ts';
import type { Search } from '../../search/search.ts';
import type { EmptyReport, IncompleteReason } from '../../search/search-answer.ts';

/** What a row of a table of events shows. */
export type ShownEvent = Pick<
  FoundEvent,
  | 'position'
  | 'actionTime'
  | 'organizationId'
  | 'organizationName'
  | 'listedAccountName'
  | 'accountId'
  | 'accountName'
  | 'actorEmail'
  | 'actorTokenName'
  | 'actorId'
  | 'actorIpAddress'
  | 'actorType'
  | 'actionType'
  | 'actionResult'
  | 'resourceProduct'
  | 'resourceType'
  | 'resourceId'
>;

/** A page of a search as it is shown, wherever it comes from. */
export interface ShownAnswer {
  readonly search: Search;
  readonly events: readonly ShownEvent[];
  readonly coverage: SearchCoverage;
  readonly empty: EmptyReport | undefined;
  readonly incomplete: readonly IncompleteReason[];
  /** The cursor of older events; null if there are none. */
  readonly next: string | null;
}

const text = (value: unknown): string | null => (typeof value === 'string' ? value : null);

/** The row of an envelope of the feed's native format. Null for whatever is no text. */
export const shownOf = (envelope: unknown): ShownEvent => {
  const of = (name: string) => text(member(envelope, name));
  const raw = member(envelope, 'raw');
  const at = (part: string, name: string) => textMember(member(raw, part), name) ?? null;
  return {
    position: Number(member(envelope, 'position')),
    actionTime: of('action_time'),
    organizationId: of('organization_id'),
    organizationName: of('organization_name'),
    accountId: of('account_id'),
    accountName: of('account_name'),
    actorEmail: at('actor', 'email'),
    actorTokenName: at('actor', 'token_name'),
    actorId: at('actor', 'id'),
    actorIpAddress: at('actor', 'ip_address'),
    actorType: at('actor', 'type'),
    actionType: at('action', 'type'),
    actionResult: at('action', 'result'),
    resourceProduct: at('resource', 'product'),
    resourceType: at('resource', 'type'),
    resourceId: at('resource', 'id'),
  };
};
