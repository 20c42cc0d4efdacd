/** The API's own filter names (organization audit log, each also with `.not`). From its published parameter list. */
const filterNames = [
  'action_result',
  'action_type',
  'actor_context',
  'actor_email',
  'actor_id',
  'actor_ip_address',
  'actor_token_id',
  'actor_token_name',
  'actor_type',
  'id',
  'raw_cf_ray_id',
  'raw_method',
  'raw_status_code',
  'raw_uri',
  'resource_id',
  'resource_product',
  'resource_scope',
  'resource_type',
] as const;

const knownNames = new Set<string>(filterNames.flatMap((name) => [name, `${name}.not`]));
const ownParameters = new Set(['since', 'before', 'cursor', 'limit', 'direction']);

/** One filter as it goes on the wire: a name, with or without `.not`, and a value; repeated names are alternatives. */
export type Filter = readonly [name: string, value: string];

/** The filters in canonical order (sorted, each once), or every fault of the text. Values are not checked against the
 * API's enumerations: these grow unannounced, and only a status code has a form. */
export const parseFilters = (text: string): { filters: readonly Filter[]; faults: readonly string[] } => {
  const faults: string[] = [];
  const filters = new Map<string, Filter>();
  for (const [name, value] of new URLSearchParams(text.trim().replace(/^\?/, ''))) {
    if (ownParameters.has(name)) faults.push(`"${name}" is set by orgtrail itself and cannot be a filter`);
    else if (!knownNames.has(name)) faults.push(`unknown filter "${name}"; ${suggestion(name)}`);
    else if (value === '') faults.push(`filter "${name}" has no value`);
    else if (name.startsWith('raw_status_code') && !/^\d{3}$/.test(value))
      faults.push(`filter "${name}" must be a three-digit status code, not "${value}"`);
    else if (/^actor_email/.test(name) && value.includes(' '))
      faults.push(`filter "${name}": a "+" in a value is written %2B`);
    else filters.set(`${name}=${value}`, [name, value]);
  }
  return { filters: [...filters.keys()].sort().map((key) => filters.get(key) as Filter), faults };
};

/** The text whose hash names a filter set: the same filters in any order give the same text, no filters give ''. */
export const canonicalFilters = (filters: readonly Filter[]): string =>
  new URLSearchParams(filters.map(([name, value]): [string, string] => [name, value])).toString();

const suggestion = (name: string): string => {
  const bare = name
    .replace(/\.not$/, '')
    .replaceAll('.', '_')
    .replace(/\[.*$/, '');
  const near = filterNames.find((known) => known === bare || known.replaceAll('_', '') === bare.replaceAll('_', ''));
  return near === undefined
    ? `the API has ${filterNames.join(', ')}, each also as NAME.not`
    : `did you mean "${near}${name.endsWith('.not') ? '.not' : ''}"?`;
};
