import { OrgtrailError } from '../../base/errors.ts';
import { didYouMean, nearest, printable } from '../../base/text.ts';
import type { organizations } from '../../postgres/tables/sources.ts';

export interface NamedOrganization extends OrganizationName {
  /** No longer listed, and its log refuses. */
  readonly gone: boolean;
}

type OrganizationMatch =
  | { readonly kind: 'one'; readonly id: string }
  | { readonly kind: 'ambiguous'; readonly candidates: readonly NamedOrganization[] }
  /** `near`: names that were probably meant. */
  | { readonly kind: 'unknown'; readonly near: readonly string[] };

/** By its id, else by its whole name, whatever the case of letters. One that still exists wins over others of the same name. */
export const matchOrganization = (text: string, known: readonly NamedOrganization[]): OrganizationMatch => {
  const wanted = canonical(text);
  const byId = known.find(({ id }) => id === text.trim()) ?? known.find(({ id }) => canonical(id) === wanted);
  if (byId !== undefined) return { kind: 'one', id: byId.id };
  const named = known.filter(({ name }) => name !== null && canonical(name) === wanted);
  const present = named.filter(({ gone }) => !gone);
  const candidates = present.length > 0 ? present : named;
  const [first] = candidates;
  if (first === undefined) {
    const names = known.flatMap(({ name }) => name ?? []);
    return { kind: 'unknown', near: nearest(text, names) };
  }
  return candidates.length === 1 ? { kind: 'one', id: first.id } : { kind: 'ambiguous', candidates };
};

const MAX_CANDIDATES = 10;

/** Throws OrgtrailError `usage` for none and for several. */
export const oneNamed = (
  text: string,
  known: readonly NamedOrganization[],
  noun: 'organization' | 'account' = 'organization',
): string => {
  const match = matchOrganization(text, known);
  const shown = `"${printable(text, 80)}"`;
  if (match.kind === 'one') return match.id;
  if (match.kind === 'ambiguous') {
    const candidates = match.candidates.slice(0, MAX_CANDIDATES).map(({ id }) => printable(id, 64));
    const more = match.candidates.length > MAX_CANDIDATES ? ', …' : '';
    throw new OrgtrailError('usage', `${match.candidates.length} ${noun}s have the name ${shown}`, {
      hint: `one of their ids: ${candidates.join(', ')}${more}`,
    });
  }
  const near = match.near.map((name) => `"${printable(name, 80)}"`);
  throw near.length === 0
    ? new OrgtrailError('usage', `unknown ${noun} ${shown}`, { hint: '`orgtrail status --all` lists them' })
    : new OrgtrailError('usage', `unknown ${noun} ${shown}; did you mean ${near.join(' or ')}?`);
};

const canonical = (text: string): string => text.normalize('NFKC').trim().replaceAll(/\s+/g, ' ').toLowerCase();

export type OrganizationName = Readonly<Pick<typeof organizations.$inferSelect, 'id' | 'name'>>;

export type OrganizationLookup =
  | ({ readonly kind: 'found' } & OrganizationName)
  | { readonly kind: 'ambiguous'; readonly candidates: readonly OrganizationName[] }
  | { readonly kind: 'unknown'; readonly known: readonly OrganizationName[] };

/** Why it was not found (a predicate to it), and what may have been meant. Undefined: it was found. `plural`: what it is one of. */
export const organizationFault = (
  given: string,
  lookup: OrganizationLookup,
  plural = 'organizations',
): { readonly reason: string; readonly suggestions: readonly OrganizationName[] } | undefined => {
  if (lookup.kind === 'found') return undefined;
  const quoted = JSON.stringify(given.slice(0, 100).toWellFormed());
  if (lookup.kind === 'ambiguous') {
    const { candidates } = lookup;
    const ids = candidates.map(({ id }) => id).join(', ');
    const reason = `${quoted} is the name of ${candidates.length} ${plural}: use an id (${ids})`;
    return { reason, suggestions: candidates };
  }
  const names = [...new Set(lookup.known.flatMap(({ name }) => name ?? []))];
  const suggestions = nearest(given, names, MAX_SUGGESTED).flatMap(
    (near) => lookup.known.find(({ name }) => name === near) ?? [],
  );
  return { reason: `${quoted} is not known${didYouMean(suggestions.flatMap(({ name }) => name ?? []))}`, suggestions };
};

const MAX_SUGGESTED = 5;
