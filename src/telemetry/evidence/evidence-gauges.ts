import { Gauge, type Registry } from 'prom-client';
import { type EvidenceStatus, evidenceStates, isUnanchored } from '../../evidence/stored/evidence-status.sql.ts';

/** Of the evidence; all NaN, and no state, if none is configured. */
export const createEvidenceGauges = (registers: Registry[]) => ({
  unbegun: new Gauge({
    name: 'orgtrail_evidence_unbegun',
    help: '1 if evidence is configured and no checkpoint of its newest generation was ever signed, else 0; NaN without evidence.',
    registers,
  }),
  keyPending: new Gauge({
    name: 'orgtrail_evidence_key_order_pending',
    help: '1 if another key was ordered and no process has stated it yet, else 0; NaN without evidence.',
    registers,
  }),
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
    help: 'Seconds since an anchor of the settings was last seen to have the newest checkpoints; +Inf if it never had one.',
    labelNames: ['anchor'],
    registers,
  }),
  unanchored: new Gauge({
    name: 'orgtrail_evidence_unanchored',
    help: '1 if no anchor of the settings has a checkpoint, else 0; NaN without evidence.',
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
  overdue: new Gauge({
    name: 'orgtrail_evidence_overdue_sources',
    help: 'Sources that are read and whose coverage was not stated for twice as long as ORGTRAIL_EVIDENCE_STATEMENTS; NaN if no process builds yet.',
    registers,
  }),
  state: new Gauge({
    name: 'orgtrail_evidence_state',
    help: '1 for the state of the evidence, 0 for the others. Nothing is signed while it is halted, behind or forked, and nothing more once it is ended.',
    labelNames: ['state'],
    registers,
  }),
});

/** Sets them. `isSet`: evidence is configured for this process, also if there is no log yet. */
export const showEvidence = (
  gauges: ReturnType<typeof createEvidenceGauges>,
  evidence: EvidenceStatus | undefined,
  isSet: boolean,
): void => {
  const { size, lag, age, anchorAge, unanchored, stated, unstated, overdue, state } = gauges;
  gauges.unbegun.set(isSet || evidence !== undefined ? Number(isUnbegun(evidence)) : Number.NaN);
  gauges.keyPending.set(evidence === undefined ? Number.NaN : Number(evidence.keyOrdered !== null));
  size.set(evidence?.size ?? Number.NaN);
  lag.set(evidence?.lagEvents ?? Number.NaN);
  age.set(evidence?.signedSecondsAgo ?? Number.NaN);
  stated.set(evidence?.statedSecondsAgo ?? Number.NaN);
  unstated.set(evidence?.unstatedSources ?? Number.NaN);
  overdue.set(evidence?.overdueSources ?? Number.NaN);
  unanchored.set(evidence === undefined ? Number.NaN : Number(isUnanchored(evidence)));
  state.reset();
  anchorAge.reset();
  if (evidence === undefined) return;
  for (const { anchor, isConfigured, secondsAgo } of evidence.anchors) {
    // One that was taken out of the settings would only grow older.
    if (isConfigured) anchorAge.labels(anchor).set(secondsAgo ?? Number.POSITIVE_INFINITY);
  }
  for (const each of evidenceStates) state.labels(each).set(each === evidence.state ? 1 : 0);
};

/** Nothing was signed, and no operator has ended it. */
const isUnbegun = (evidence: EvidenceStatus | undefined): boolean =>
  evidence === undefined || (evidence.signedSecondsAgo === null && evidence.state !== 'ended');
