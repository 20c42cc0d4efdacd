import { didYouMean, nearest } from '../../base/text.ts';
import type { organizations } from '../../postgres/tables/sources.ts';

/** An organization as far as a person can name it. */
export interface NamedOrganization extends OrganizationName {
  /** True when it is no longer listed and its log refuses. */
  readonly gone: boolean;
}

type OrganizationMatch =
  | { readonly kind: 'one'; readonly id: string }
  /** Several have this name. */
  | { readonly kind: 'ambiguous'; readonly candidates: readonly NamedOrganization[] }
  /** None has this id or name. `near`: names that were probably meant. */
  | { readonly kind: 'unknown'; readonly near: readonly string[] };

/**
 * The organization that `text` names: by its id, else by its whole name, whatever the case of the letters. Of several with one
 * name, one that still exists wins over those that are gone. A pure function.
 */
export const matchOrganization = (text: string, known: readonly NamedOrganization[]): OrganizationMatch => {
  const wanted = canonical(text);
  const byId = known.find(({ id }) => id === text.trim()) ?? known.find(({ id }) => canonical(id) === wanted);
  if (byId !== undefined) return { kind: 'one', id: byId.id };
  const named = known.filter(({ name }) => name !== null && canonical(name) === wanted);
  const present = named.filter(({ gone }) => !gone);
  const candidates = present.length > 0 ? present : named;
  const [first] = candidates;
  if (first === undefined) {
    return {
      kind: 'unknown',
      near: nearest(
        text,
        known.flatMap(({ name }) => name ?? []),
      ),
    };
  }
  return candidates.length === 1 ? { kind: 'one', id: first.id } : { kind: 'ambiguous', candidates };
};

const canonical = (text: string): string => text.normalize('NFKC').trim().replaceAll(/\s+/g, ' ').toLowerCase();

export type OrganizationName = Readonly<Pick<typeof organizations.$inferSelect, 'id' | 'name'>>;

/** What an id or a name leads to. */
export type OrganizationLookup =
  | ({ readonly kind: 'found' } & OrganizationName)
  | { readonly kind: 'ambiguous'; readonly candidates: readonly OrganizationName[] }
  | { readonly kind: 'unknown'; readonly known: readonly OrganizationName[] };

/** What is wrong with an organization that was asked for (a predicate to it), and which ones may have been meant. */
interface OrganizationFault {
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
