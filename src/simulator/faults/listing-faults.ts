import { faultReply, type Reply, refusal } from '../api/reply.ts';
import type { Organization } from '../organizations/organization-registry.ts';
import type { FaultPlan, Occasion } from './fault-plan.ts';

/** What the listing is answered with, whatever page is asked for; undefined when no fault stands in its place. */
export function listingInterruption(faults: FaultPlan, occasion: Occasion): Reply | undefined {
  if (faults.fires('listing_403', occasion) !== undefined) return refusal(403);
  const away = faults.meets('listing_away', occasion);
  return away === undefined ? undefined : faultReply('listing_away', away.status);
}

/** What this page of the listing (from 1) is answered with; undefined when it is whole. */
export function brokenPage(faults: FaultPlan, occasion: Occasion, number: number): Reply | undefined {
  const broken = faults.meets('broken_listing_page', occasion, ({ page }) => page === number);
  return broken === undefined ? undefined : faultReply('broken_listing_page', broken.status);
}

/** What is left of a listing, and how many organizations it says there are. */
export interface VisibleListing {
  readonly organizations: readonly Organization[];
  readonly totalSize: number;
}

/** The listing without the organizations that faults hide. A share of them is always the same ones. */
export function visibleListing(faults: FaultPlan, occasion: Occasion, all: readonly Organization[]): VisibleListing {
  const empty = faults.meets('empty_listing', occasion);
  if (empty !== undefined) return { organizations: [], totalSize: empty.countsAll ? all.length : 0 };
  if (!faults.isOn('partial_listing')) return { organizations: all, totalSize: all.length };
  let hidesCount = true;
  const organizations = all.filter(({ id, seq }) => {
    const hidden = faults.meets('partial_listing', {
      operation: 'organizations',
      number: seq,
      source: { kind: 'organization', id },
    });
    if (hidden?.countsAll === true) hidesCount = false;
    return hidden === undefined;
  });
  return { organizations, totalSize: hidesCount ? organizations.length : all.length };
}
