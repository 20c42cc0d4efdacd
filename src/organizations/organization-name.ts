import type { organizations } from '../postgres/tables/organizations.ts';
import { didYouMean, nearest } from '../text/nearest.ts';

export type OrganizationName = Readonly<Pick<typeof organizations.$inferSelect, 'id' | 'name'>>;

/** What an id or a name leads to. */
export type OrganizationLookup =
  | ({ readonly kind: 'found' } & OrganizationName)
  | { readonly kind: 'ambiguous'; readonly candidates: readonly OrganizationName[] }
  | { readonly kind: 'unknown'; readonly known: readonly OrganizationName[] };

/** What is wrong with an organization that was asked for (a predicate to it), and which ones may have been meant. */
export interface OrganizationFault {
  readonly reason: string;
  readonly suggestions: readonly OrganizationName[];
}

const MAX_SUGGESTED = 5;

/** Undefined for the one that was found. `plural`: what it is one of. */
export const organizationFault = (
  given: string,
  lookup: OrganizationLookup,
  plural = 'organizations',
): OrganizationFault | undefined => {
  if (lookup.kind === 'found') return undefined;
  const quoted = JSON.stringify(given.slice(0, 100).toWellFormed());
  if (lookup.kind === 'ambiguous') {
    const { candidates } = lookup;
    const ids = candidates.map(({ id }) => id).join(', ');
    const reason = `${quoted} is the name of ${candidates.length} ${plural}: use an id (${ids})`;
    return { reason, suggestions: candidates };
  }
  const suggestions = nearOrganizations(given, lookup.known);
  return { reason: `${quoted} is not known${didYouMean(suggestions.flatMap(({ name }) => name ?? []))}`, suggestions };
};

const nearOrganizations = (given: string, known: readonly OrganizationName[]): readonly OrganizationName[] => {
  const names = [...new Set(known.flatMap(({ name }) => name ?? []))];
  return nearest(given, names, MAX_SUGGESTED).flatMap((near) => known.find(({ name }) => name === near) ?? []);
};
