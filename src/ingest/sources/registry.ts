import { account } from './account.ts';
import { organization } from './organization.ts';
import type { SourceKind } from './source-kind.ts';

/** By `sources.kind` and `audit_events.source_kind`: a contract. To add one takes a file and a line here
 * (CONTRIBUTING.md). */
const registry = {
  organization,
  account,
};

export type SourceKindName = keyof typeof registry;

const sourceKinds: Readonly<Record<SourceKindName, SourceKind>> = registry;
export const sourceKindNames = Object.keys(registry) as readonly SourceKindName[];

/** Throws for a kind that this version does not have: it plans none of its sources. */
export const kindOf = ({ kind }: { readonly kind: string }): SourceKind & { readonly name: SourceKindName } => {
  const name = sourceKindNames.find((known) => known === kind);
  if (name === undefined) throw new Error(`this version knows no sources of kind "${kind}"`);
  return { ...sourceKinds[name], name };
};
