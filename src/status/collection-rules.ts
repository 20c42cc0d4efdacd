import type { CollectionRules } from '../search/search-coverage.sql.ts';
import { behindAfterSeconds, pausesOf } from './health.ts';

/** What counts as collected under this configuration. */
export const collectionRulesOf = (
  config: Pick<CollectionRules, 'organizationIds'> & Parameters<typeof pausesOf>[0],
): CollectionRules => ({
  organizationIds: config.organizationIds,
  behindAfterSeconds: (organizations) => behindAfterSeconds(pausesOf(config, organizations)),
});
