import type { Pool } from 'pg';
import type { Claim } from './ports.ts';

/** What the process that builds is set to. */
export interface BuilderSettings {
  /** Their names. */
  readonly anchors: readonly string[];
  /** ORGTRAIL_EVIDENCE_STATEMENTS. */
  readonly statementsMs: number;
}

/** Notes it beside the log, so that every replica and every command knows what is overdue. */
export const noteBuilderSettings = async (
  pool: Pool,
  { generation, epoch }: Claim,
  { anchors, statementsMs }: BuilderSettings,
): Promise<void> => {
  await pool.query('select orgtrail_note_evidence_settings($1, $2, $3, $4)', [
    generation,
    epoch,
    anchors,
    statementsMs,
  ]);
};
