import type { Filter } from './filters.ts';

/**
 * Cloudflare's published values, with those seen beside them; any other value is in the rest. More values than these would only make
 * more requests.
 */
const knownValues: Readonly<Record<string, readonly string[]>> = {
  action_type: ['create', 'update', 'delete', 'view', 'login'],
  actor_type: ['user', 'account', 'cloudflare_admin', 'system', 'delegated_service'],
};
const MAX_RESOURCE_TYPES = 20;

/**
 * How the entries of one second are split if they cannot be read together: by one field after the other, each value and
 * all others by `.not`, so that every entry is in exactly one part. Fields that the configured filters use already are left
 * out. `resourceTypes`: those that the source is known to have.
 */
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
