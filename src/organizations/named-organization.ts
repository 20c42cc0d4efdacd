import { nearest } from '../text/nearest.ts';
import type { OrganizationName } from './organization-name.ts';

/** An organization as far as a person can name it. */
export interface NamedOrganization extends OrganizationName {
  /** True when it is no longer listed and its log refuses. */
  readonly gone: boolean;
}

export type OrganizationMatch =
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
