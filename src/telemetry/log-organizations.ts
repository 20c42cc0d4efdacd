import type { Logger } from 'pino';
import type { SyncObserver } from '../ingest/sync/ports.ts';
import type { NameOf } from '../organizations/organization-names.ts';

/** More new organizations than this in one listing are one line: at the first start all of them are new. */
const MAX_LINES = 5;

/** Logs the listing of organizations and their changes. */
export const logOrganizations = (
  logger: Logger,
  nameOf: NameOf,
): Pick<SyncObserver, 'discovered' | 'organizationChanged' | 'discoveryFailed'> => {
  let appeared: string[] = [];
  let shortBefore: string | undefined;
  const named = (organizationId: string) => ({ organizationId, name: nameOf(organizationId) });
  const flush = () => {
    const ids = appeared;
    appeared = [];
    if (ids.length <= MAX_LINES) for (const id of ids) logger.info(named(id), 'organization appeared');
    else {
      const names = ids.slice(0, MAX_LINES).map((id) => nameOf(id) ?? id);
      logger.info({ organizations: ids.length, first: names }, `${ids.length} organizations appeared`);
    }
  };
  return {
    discovered: (event) => {
      flush();
      const { short } = event;
      if (short !== undefined && short !== shortBefore)
        logger.warn(
          { reason: short },
          'the listing of organizations is not complete; what it does not name is not missed',
        );
      shortBefore = short;
      logger.debug(event, 'organizations listed');
    },
    discoveryFailed: ({ error }) => {
      flush();
      const reason = error instanceof Error ? error.message : String(error);
      logger.warn({ reason }, 'listing organizations failed');
    },
    organizationChanged: ({ organizationId, change }) => {
      if (change === 'appeared') appeared.push(organizationId);
      else logger[change === 'gone' ? 'warn' : 'info'](named(organizationId), `organization ${change}`);
    },
  };
};
