import { OrgtrailError } from '../../errors.ts';
import type { ExportedLogs, NothingToExport } from './snapshot.sql.ts';

/** Throws OrgtrailError `usage` if nothing is signed. */
export const requireLogs = (found: ExportedLogs | NothingToExport): ExportedLogs => {
  if (found === 'no log') {
    throw new OrgtrailError('usage', 'there is no evidence in this database', {
      hint: 'docs/evidence.md says how to begin',
    });
  }
  if (found === 'no checkpoint') {
    throw new OrgtrailError('usage', 'no checkpoint is signed yet', {
      hint: 'the daemon signs one once it builds: orgtrail evidence status',
    });
  }
  return found;
};
