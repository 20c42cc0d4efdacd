import type { AskedFindings } from '../../../src/sinks/findings/list-findings.sql.ts';

/** All findings since then that are not muted, unless it says otherwise. */
export const askedFindings = (sinceMs: number, more: Partial<AskedFindings> = {}): AskedFindings => ({
  since: new Date(sinceMs).toISOString(),
  before: undefined,
  organization: undefined,
  severity: undefined,
  detection: undefined,
  actor: undefined,
  showMuted: false,
  limit: 50,
  offset: 0,
  ...more,
});
