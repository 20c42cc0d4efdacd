import { Gauge, type Registry } from 'prom-client';
import { type EvidenceStatus, evidenceStates } from '../../evidence/stored/evidence-status.sql.ts';

/** Of the evidence; all NaN, and no state, if none is configured. */
export const createEvidenceGauges = (registers: Registry[]) => ({
  size: new Gauge({
    name: 'orgtrail_evidence_tree_size',
    help: 'Leaves of the log of events; NaN without evidence.',
    registers,
  }),
  lag: new Gauge({
    name: 'orgtrail_evidence_lag_events',
    help: 'Stored positions that have no leaf yet; NaN without evidence.',
    registers,
  }),
  age: new Gauge({
    name: 'orgtrail_evidence_checkpoint_age_seconds',
    help: 'Seconds since a checkpoint of the events was last signed; one is signed when there are new events. NaN before the first.',
    registers,
  }),
  state: new Gauge({
    name: 'orgtrail_evidence_state',
    help: '1 for the state of the evidence, 0 for the others. Nothing is signed while it is halted, behind or forked, and nothing more once it is ended.',
    labelNames: ['state'],
    registers,
  }),
});

/** Sets them. */
export const showEvidence = (
  { size, lag, age, state }: ReturnType<typeof createEvidenceGauges>,
  evidence: EvidenceStatus | undefined,
): void => {
  size.set(evidence?.size ?? Number.NaN);
  lag.set(evidence?.lagEvents ?? Number.NaN);
  age.set(evidence?.signedSecondsAgo ?? Number.NaN);
  state.reset();
  if (evidence === undefined) return;
  for (const each of evidenceStates) state.labels(each).set(each === evidence.state ? 1 : 0);
};
