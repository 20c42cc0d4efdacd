import { type EvidenceStatus, isUnanchored } from '../../../evidence/stored/evidence-status.sql.ts';
import type { FoundEvent } from '../../../search/found-event.ts';
import { parseInstantMs } from '../../../time/instant.ts';
import { type Html, html } from '../html.ts';
import { agoText, countText, exactInstantOf } from '../words.ts';
import { EVIDENCE_PATH } from './evidence-view.ts';
import { isStopped } from './evidence-words.ts';

/** Whether an event is in the signed log, and its proof. Nothing without a log. */
export const proofPanel = (event: FoundEvent, status: EvidenceStatus | undefined, nowMs: number): Html | null => {
  if (status === undefined) return null;
  const isSigned = event.position <= (status.signedSize ?? 0);
  return html`<section class="panel" id="proof" aria-labelledby="proof-head"><h2 id="proof-head">Proof</h2>
${isSigned ? signed(event, status) : unsigned(event, status, nowMs)}
${stopped(status)}</section>`;
};

const signed = (
  { position }: FoundEvent,
  status: EvidenceStatus,
): Html => html`<p>It is in the log <span class="mono">${status.origin}</span>, under the checkpoint of ${countText(status.signedSize ?? 0)} positions, signed ${agoText(status.signedSecondsAgo ?? 0)}.${
  position <= status.adoptedSize
    ? ' It was stored before this log began: the proof says nothing of the time before.'
    : ''
}${isUnanchored(status) ? html` The log is <a href="${EVIDENCE_PATH}">unanchored</a>.` : null}</p>
<p class="row actions"><a class="quiet-button" href="/events/${position}/proof/json" download>Download event<span class="unseen"> ${position}.json</span></a>
<a class="quiet-button" href="/events/${position}/proof/tlog-proof" download>Download proof<span class="unseen"> ${position}.tlog-proof</span></a></p>
<p class="hint">Both into one folder; there, <code>orgtrail evidence verify ${position}.tlog-proof</code> verifies them, without database or settings.</p>`;

const unsigned = ({ receivedAt }: FoundEvent, status: EvidenceStatus, nowMs: number): Html => {
  const sinceMs = parseInstantMs(receivedAt);
  const since = html`${sinceMs === undefined ? null : `${agoText((nowMs - sinceMs) / 1_000)}, `}${exactInstantOf(receivedAt)}`;
  if (status.state === 'ended') return html`<p><strong>Not signed</strong>: the log was ended before.</p>`;
  return html`<p><strong>Not yet signed</strong>, since it was stored ${since}. ${
    status.signedSize === null
      ? 'No checkpoint is signed yet.'
      : `The last checkpoint has ${countText(status.signedSize)} positions.`
  }${status.heldBy === null ? ' No process builds the log at the moment.' : ''}</p>`;
};

const stopped = (status: EvidenceStatus): Html | null =>
  isStopped(status)
    ? html`<p class="error-text">The log is ${status.state}${status.stateReason === null ? '' : `: ${status.stateReason}`}. Nothing is signed any more: <a href="${EVIDENCE_PATH}">what to do</a>.</p>`
    : null;
