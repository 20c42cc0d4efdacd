import { type Filter, parseFilters } from '../ingest/planning/filters.ts';
import { kindOf, type SourceKindName, sourceKindNames } from '../ingest/sources/registry.ts';

/** The setting that holds the filters of one kind instead of ORGTRAIL_FILTERS. */
const filterSettingOf = (kind: SourceKindName): `ORGTRAIL_FILTERS_${string}` =>
  `ORGTRAIL_FILTERS_${kind.toUpperCase()}S`;

/**
 * The filters of each kind: its own setting, else those of all. Adds to `faults` what is wrong; the names must be those of every kind in
 * force that a setting is for.
 */
export const readFilters = (
  env: Readonly<Record<string, string>>,
  inForce: readonly SourceKindName[],
  faults: string[],
): Readonly<Record<SourceKindName, readonly Filter[]>> => {
  const found: Partial<Record<SourceKindName, readonly Filter[]>> = {};
  // What is wrong for each kind is said once, with the names of the first.
  const said = new Map<string, string>();
  for (const kind of sourceKindNames) {
    const own = filterSettingOf(kind);
    const setting = env[own] === undefined ? 'ORGTRAIL_FILTERS' : own;
    const read = parseFilters(env[setting] ?? '', kindOf({ kind }).filters);
    found[kind] = read.filters;
    if (setting !== own && !inForce.includes(kind)) continue;
    for (const fault of read.faults) {
      const [what = fault] = fault.split(';', 1);
      if (!said.has(`${setting} ${what}`)) said.set(`${setting} ${what}`, `${setting}: ${fault}`);
    }
  }
  faults.push(...said.values());
  return found as Record<SourceKindName, readonly Filter[]>;
};
