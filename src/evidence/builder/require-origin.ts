import { OrgtrailError } from '../../errors.ts';
import { writeOrigin } from '../notes/origin.ts';
import type { StoredLogs } from './ports.ts';

/** Throws OrgtrailError `configuration` if the logs have another name than the settings give them. */
export const requireOrigin = ({ feedId, generation, events }: StoredLogs, base: string): void => {
  const expected = writeOrigin({ base, feedId, generation, log: 'events' });
  if (events.origin === expected) return;
  throw new OrgtrailError('configuration', `the evidence of this database is of ${events.origin}, not of ${expected}`, {
    hint: 'set ORGTRAIL_EVIDENCE_ORIGIN to what the log began with: a log has one name',
  });
};
