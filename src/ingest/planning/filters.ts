/** One filter as it goes on the wire: a name, with or without `.not`, and a value; repeated names are alternatives. */
export type Filter = readonly [name: string, value: string];

export interface FilterRules {
  readonly names: readonly string[];
  /** Those that the API cannot negate. */
  readonly withoutNot?: readonly string[];
  readonly reserved: readonly string[];
}

/** Sorted, each once; or every fault of the text. Values are not checked: the API's enumerations grow unannounced. */
export const parseFilters = (
  text: string,
  { names, withoutNot = [], reserved }: FilterRules,
): { filters: readonly Filter[]; faults: readonly string[] } => {
  const knownNames = new Set<string>([...names.flatMap((name) => [name, `${name}.not`]), ...withoutNot]);
  const faults: string[] = [];
  const filters = new Map<string, Filter>();
  for (const [name, value] of new URLSearchParams(text.trim().replace(/^\?/, ''))) {
    if (reserved.includes(name)) faults.push(`"${name}" is set by orgtrail itself and cannot be a filter`);
    else if (!knownNames.has(name)) faults.push(`unknown filter "${name}"; ${suggestion(name, names, withoutNot)}`);
    else if (value === '') faults.push(`filter "${name}" has no value`);
    else if (name.startsWith('raw_status_code') && !/^\d{3}$/.test(value))
      faults.push(`filter "${name}" must be a three-digit status code, not "${value}"`);
    else if (/^actor_email/.test(name) && value.includes(' '))
      faults.push(`filter "${name}": a "+" in a value is written %2B`);
    else filters.set(`${name}=${value}`, [name, value]);
  }
  return { filters: [...filters.keys()].sort().map((key) => filters.get(key) as Filter), faults };
};

/** The text whose hash names a filter set; '' for none. */
export const canonicalFilters = (filters: readonly Filter[]): string =>
  new URLSearchParams(filters.map(([name, value]): [string, string] => [name, value])).toString();

const suggestion = (name: string, names: readonly string[], withoutNot: readonly string[]): string => {
  if (withoutNot.includes(name.replace(/\.not$/, ''))) return `"${name.replace(/\.not$/, '')}" cannot be negated`;
  const bare = name
    .replace(/\.not$/, '')
    .replaceAll('.', '_')
    .replace(/\[.*$/, '');
  const near = names.find((known) => known === bare || known.replaceAll('_', '') === bare.replaceAll('_', ''));
  return near === undefined
    ? `the API has ${names.join(', ')}, each also as NAME.not${withoutNot.map((one) => `, and ${one}`).join('')}`
    : `did you mean "${near}${name.endsWith('.not') ? '.not' : ''}"?`;
};

/** Cloudflare's published values, with those seen beside them; others are in the rest, and more would only cost
 * requests. */
const knownValues: Readonly<Record<string, readonly string[]>> = {
  action_type: ['create', 'update', 'delete', 'view', 'login'],
  actor_type: ['user', 'account', 'cloudflare_admin', 'system', 'delegated_service'],
};
const MAX_RESOURCE_TYPES = 20;

/** How the entries of one second are split: by one field after the other, each value and all others by `.not`, so that
 * every entry is in exactly one part. Fields of the configured filters are left out. */
export const splitsOfSecond = (
  configured: readonly Filter[],
  resourceTypes: readonly string[],
): readonly (readonly (readonly Filter[])[])[] => {
  const used = new Set(configured.map(([name]) => name.replace(/\.not$/, '')));
  const values = { ...knownValues, resource_type: resourceTypes.slice(0, MAX_RESOURCE_TYPES) };
  return Object.entries(values)
    .filter(([field, known]) => !used.has(field) && known.length > 0)
    .map(([field, known]) => [
      ...known.map((value): readonly Filter[] => [[field, value]]),
      known.map((value): Filter => [`${field}.not`, value]),
    ]);
};
