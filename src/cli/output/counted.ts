import { kindOf } from '../../ingest/sources/registry.ts';
import type { SourceCounts } from '../../status/sources/source-groups.ts';

/** `1 organization`, `1,204 organizations`. */
export const counted = (count: number, noun: string): string =>
  `${count.toLocaleString('en')} ${count === 1 ? noun : `${noun}s`}`;

/** `30 organizations`, and if there are accounts `30 organizations, 90 accounts`, or `90 accounts` alone. */
export const countedSources = (sources: readonly { readonly kind: string }[]): string => {
  const accounts = sources.filter(({ kind }) => kindOf({ kind }).owner === 'account').length;
  return countedOwners({ organizations: sources.length - accounts, accounts });
};

/** The same of so many. */
export const countedOwners = ({ organizations, accounts }: SourceCounts): string => {
  if (accounts === 0) return counted(organizations, 'organization');
  const both = organizations === 0 ? '' : `${counted(organizations, 'organization')}, `;
  return `${both}${counted(accounts, 'account')}`;
};
