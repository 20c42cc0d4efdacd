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
  anchorAge: new Gauge({
    name: 'orgtrail_evidence_anchor_age_seconds',
    help: 'Seconds since an anchor was last seen to have the newest checkpoints; NaN if it never had one. Only of anchors that are configured; no series: unanchored.',
    labelNames: ['anchor'],
    registers,
  }),
  stated: new Gauge({
    name: 'orgtrail_evidence_statement_age_seconds',
    help: 'Seconds since the coverage of a source was last stated; each is stated once a day. NaN before the first.',
    registers,
  }),
  unstated: new Gauge({
    name: 'orgtrail_evidence_unstated_sources',
    help: 'Sources whose coverage was never stated; NaN without evidence.',
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
  { size, lag, age, anchorAge, stated, unstated, state }: ReturnType<typeof createEvidenceGauges>,
  evidence: EvidenceStatus | undefined,
): void => {
  size.set(evidence?.size ?? Number.NaN);
  lag.set(evidence?.lagEvents ?? Number.NaN);
  age.set(evidence?.signedSecondsAgo ?? Number.NaN);
  stated.set(evidence?.statedSecondsAgo ?? Number.NaN);
  unstated.set(evidence?.unstatedSources ?? Number.NaN);
  state.reset();
  anchorAge.reset();
  if (evidence === undefined) return;
  for (const { anchor, secondsAgo, isConfigured } of evidence.anchors) {
    if (isConfigured) anchorAge.labels(anchor).set(secondsAgo ?? Number.NaN);
  }
  for (const each of evidenceStates) state.labels(each).set(each === evidence.state ? 1 : 0);
};
