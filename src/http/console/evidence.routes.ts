import type { FastifyInstance, FastifyReply } from 'fastify';
import { parseInstantMs } from '../../base/time.ts';
import type { NewestCheckpoint } from '../../evidence/builder/ports.ts';
import type { ShownEvidence, ShownLog, ShownSource } from '../../evidence/shown-evidence.sql.ts';
import { type EvidenceStatus, isStopped, isUnanchored } from '../../evidence/stored/evidence-status.sql.ts';
import type { FoundEvent } from '../../search/answer.ts';
import type { SourceHealth } from '../../status/health.ts';
import { httpError } from '../failure.ts';
import { type Html, html } from './html.ts';
import { type Frame, hidden, sendPage } from './page.ts';
import { agoOf, agoText, countOf, countText, exactInstantOf, spanText, timeOf } from './words.ts';

const REFRESH_SECONDS = 30;

/** `evidence` is undefined for a server without a database of one. */
export const evidencePages = (pages: FastifyInstance, frame: Frame, evidence: ShownEvidence | undefined): void => {
  pages.get(EVIDENCE_PATH, { schema: hidden }, async (request, reply) => {
    const view = evidence && (await readView(evidence));
    const body = view === undefined ? noEvidenceBody(evidence?.isConfigured ?? false) : evidenceBody(view);
    const refresh = view === undefined ? {} : { refreshSeconds: REFRESH_SECONDS };
    return sendPage(request, reply, frame, { title: 'Evidence', current: EVIDENCE_PATH, body, ...refresh });
  });
  pages.get(`${EVIDENCE_PATH}/checkpoint`, { schema: hidden }, async (_, reply) => {
    const checkpoint = await evidence?.checkpoint();
    if (checkpoint === undefined) throw httpError(404, 'There is no signed checkpoint.');
    const { number, size, note } = checkpoint;
    return sendFile(reply, `log-${number}-${size}.checkpoint`, note);
  });
  pages.get(`${EVIDENCE_PATH}/key`, { schema: hidden }, async (_, reply) => {
    const vkey = (await evidence?.log())?.vkey;
    if (vkey === undefined) throw httpError(404, 'There is no key of a log.');
    return sendFile(reply, 'log.vkey', `${vkey}\n`);
  });
};

const readView = async (evidence: ShownEvidence): Promise<EvidenceView | undefined> => {
  const status = await evidence.status();
  if (status === undefined) return undefined;
  const [log, checkpoint, statements] = await Promise.all([
    evidence.log(),
    evidence.checkpoint(),
    evidence.statements(),
  ]);
  return { status, log, checkpoint, statements, isConfigured: evidence.isConfigured, nowMs: Date.now() };
};

/** A type that no browser renames or shows: bytes must stay as they are. */
const sendFile = (reply: FastifyReply, name: string, text: string): FastifyReply =>
  reply
    .header('content-type', 'application/octet-stream')
    .header('content-disposition', `attachment; filename="${name}"`)
    .header('cache-control', 'no-store')
    .send(Buffer.from(text));

const evidenceBody = (view: EvidenceView): Html => html`<div class="stack">
<div class="row between"><h1>Evidence</h1><p class="muted live" data-connection-note role="status"></p></div>
${verdict(view)}
${anchorNote(view)}
${view.log === undefined ? noRight : null}
${logPanel(view)}
${anchorsPanel(view)}
${uncoveredPanel(view)}
${historyPanel(view)}
${verifyPanel}
</div>`;

const verdict = ({ status, isConfigured }: EvidenceView): Html => {
  const { state, stateReason, lagEvents, heldBy } = status;
  const waiting =
    state === 'ended'
      ? ''
      : lagEvents > 0
        ? ` ${countOf(lagEvents, 'event')} not in the log yet.`
        : ' All events are in it.';
  return html`<section class="verdict verdict-${colours[state]}" aria-label="State of the evidence"><span class="state state-${colours[state]}">${state}</span>
<p>${meanings[state]}${waiting}${heldBy === null && state !== 'ended' ? ' No process builds it at the moment.' : ''}</p>
${stateReason === null ? null : html`<p class="${state === 'ended' ? 'sub' : 'error-text'}">Reason: ${stateReason}</p>`}
${whatToDo[state] === undefined ? null : html`<p>${whatToDo[state]}</p>`}
${isConfigured ? null : html`<p>This process has no <code>ORGTRAIL_EVIDENCE_ORIGIN</code>. Retention waits for the log until it is ended (<code>orgtrail evidence end</code>).</p>`}</section>`;
};

const whatToDo: Readonly<Partial<Record<EvidenceStatus['state'], Html>>> = {
  halted: html`Find out what the reason says: <code>orgtrail evidence verify</code> names each position that does not hold. Signing goes on by itself
once what is stored is again what was signed. Collecting goes on; retention drops nothing until then.`,
  behind: html`Collect every checkpoint that was kept outside the database, and give all of them to
<code>orgtrail evidence next --reason … --by … --anchor CHECKPOINT…</code>, as the owner of the schema. Collecting goes on; retention drops nothing until then.`,
  'no key': html`Give the process that builds the key that the log names (<code>orgtrail evidence key</code>), or order another one: <code>orgtrail evidence key --rotate --reason lost</code>. Collecting goes on; retention drops nothing until then.`,
  ended: html`<code>orgtrail evidence next</code> goes on after it, and has leaves for what came meanwhile.`,
};

const anchorNote = ({ status }: EvidenceView): Html | null =>
  status.state === 'ended' || !isUnanchored(status)
    ? null
    : html`<section class="verdict verdict-behind" aria-label="Unanchored"><span class="state state-behind">unanchored</span>
<p>No checkpoint is known to be kept outside this database: its owner, with the key, could rewrite all of it. Set <code>ORGTRAIL_EVIDENCE_ANCHORS</code>, or keep the checkpoint below elsewhere.</p></section>`;

const noRight = html`<p class="fault">The account of the database may see how the log stands, and not the log itself: its key, its checkpoint and its history are not shown here. <code>grant orgtrail_evidence to …</code></p>`;

const logPanel = ({ status, log, checkpoint }: EvidenceView): Html => {
  const { origin, number, size, signedSize, signedSecondsAgo, verifiedSecondsAgo, verificationFaults } = status;
  const key = log?.vkey;
  const signed =
    signedSize === null
      ? 'nothing is signed yet'
      : `of ${countOf(signedSize, 'leaf', 'leaves')}, ${agoText(signedSecondsAgo ?? 0)}`;
  const at = checkpoint === undefined ? null : html` <span class="sub">${timeOf(checkpoint.madeAt)}</span>`;
  return html`<section class="panel facts" aria-labelledby="log"><h2 id="log">The log</h2><dl>
${fact('Origin', html`<span class="mono">${origin}</span>`)}
${fact('Number', String(number))}
${fact('Size', countOf(size, 'leaf', 'leaves'))}
${fact('Last checkpoint', html`${signed}${at}`)}
${fact('Verified by itself', `${verifiedSecondsAgo === null ? 'not all of it yet' : `all of it within ${spanText(verifiedSecondsAgo)}`}; ${countOf(verificationFaults, 'fault')}`)}
${checkpoint === undefined ? null : fact('Root', html`<span class="mono">${checkpoint.root.toString('base64')}</span>`)}
${key === undefined ? null : fact('Key', html`<span class="mono">${key}</span>`)}
</dl>${
    checkpoint === undefined && key === undefined
      ? null
      : html`<p class="row actions">${checkpoint === undefined ? null : html`<a class="quiet-button" href="${EVIDENCE_PATH}/checkpoint" download>Download checkpoint</a>`}${
          key === undefined
            ? null
            : html`<a class="quiet-button" href="${EVIDENCE_PATH}/key" download>Download key</a><button class="quiet-button" type="button" data-copy="${EVIDENCE_PATH}/key" data-keep hidden>Copy key</button>`
        }</p>`
  }</section>`;
};

const fact = (name: string, value: Html | string): Html => html`<div><dt>${name}</dt><dd>${value}</dd></div>`;

const anchorsPanel = ({
  status,
  nowMs,
}: EvidenceView): Html => html`<section class="panel" aria-labelledby="anchors"><h2 id="anchors">Anchors</h2>
${
  status.anchors.length === 0
    ? html`<p class="muted">No anchor has kept anything of this log.</p>`
    : html`<div class="scroll" tabindex="0" role="region" aria-label="Table of anchors"><table class="sinks">
<thead><tr><th scope="col">Anchor</th><th scope="col">State</th><th scope="col" class="number">Keeps</th><th scope="col" class="number">Last success</th></tr></thead>
<tbody>${status.anchors.map((anchor) => anchorRow(anchor, nowMs))}</tbody></table></div>`
}</section>`;

const anchorRow = (
  { anchor, size, secondsAgo, error }: EvidenceStatus['anchors'][number],
  nowMs: number,
): Html => html`<tr><th scope="row">${anchor}${error === null ? null : html`<p class="error-text">${error}</p>`}</th>
<td>${error === null ? html`<span class="state state-fresh">ok</span>` : html`<span class="state state-failing">failing</span>`}</td>
<td class="number">${size === null ? 'nothing yet' : countOf(size, 'leaf', 'leaves')}</td>
<td class="number">${secondsAgo === null ? html`<span class="muted">never</span>` : html`${timeOf(nowMs - secondsAgo * 1_000)}<p class="sub">${agoText(secondsAgo)}</p>`}</td></tr>`;

const verifyPanel = html`<section class="panel" aria-labelledby="verify"><h2 id="verify">For an auditor</h2>
<ul class="points"><li><code>orgtrail evidence verify</code> hashes all that is stored again, and compares it with the last checkpoint.</li>
<li><code>orgtrail evidence export DIR</code> writes a bundle that verifies offline, with its own verifier; with <code>--organization</code> or <code>--account</code> one of one log.</li>
<li>A result of a search can be exported as a bundle, and so can one <a href="/events">event</a>: <code>orgtrail evidence prove POSITION</code>.</li>
<li><code>orgtrail evidence sample</code> draws days that an auditor fetches from Cloudflare, to see that nothing was left out.</li>
<li>Give the key to auditors on another way than the evidence, and keep checkpoints elsewhere.</li></ul></section>`;

const noEvidenceBody = (isConfigured: boolean): Html => html`<div class="stack"><h1>Evidence</h1>
<section class="panel" aria-labelledby="none"><h2 id="none">${isConfigured ? 'No log has been begun' : 'Evidence is not configured'}</h2>
<div class="stack"><p>orgtrail can keep a signed Merkle log of what it stores, so that an auditor can verify offline that nothing was changed, removed or put in between.
${isConfigured ? html`It is configured here, and there is no log in the database yet: the process that has the key begins it, or a command does.` : html`Until it is begun, nothing here is signed, and what is stored now will be proven from that day on only.`}</p>
<pre class="text" tabindex="0" role="region" aria-label="Commands">${commands}</pre>
<p class="hint">docs/evidence.md has all of it: what the log shows and what it does not, anchors, and what to know before it is switched on.</p></div></section></div>`;

const commands = `export ORGTRAIL_EVIDENCE_ORIGIN=audit.example.com/evidence       # names the log; cannot be changed later
export ORGTRAIL_EVIDENCE_KEY_FILE=/run/secrets/evidence-key.pem  # Ed25519; keep a copy of it
orgtrail migrate --roles                                         # once, as the owner of the schema
psql -c 'grant orgtrail_evidence to orgtrail_daemon'             # the account of the daemon
orgtrail evidence init                                           # begins the log, prints the key for auditors`;

const uncoveredPanel = (
  view: EvidenceView,
): Html => html`<section class="panel" aria-labelledby="uncovered"><h2 id="uncovered">What is not covered</h2>
<ul class="points">${[unhashed(view), adopted(view), unstated(view), unasked(view), lastStated(view)]}
<li>That Cloudflare told the truth or everything, that the clock of the host was right, or who did something.</li></ul></section>`;

const unhashed = ({ status: { lagEvents, state } }: EvidenceView): Html | null =>
  lagEvents <= 0
    ? null
    : html`<li><strong>${countOf(lagEvents, 'event')}</strong> ${lagEvents === 1 ? 'has' : 'have'} no leaf${state === 'ended' ? ': the log was ended before' : ' yet'}.</li>`;

const adopted = ({ status: { adoptedPosition }, log }: EvidenceView): Html | null => {
  if (adoptedPosition <= 0) return null;
  const at = log?.begins[0]?.at;
  return html`<li><strong>Positions 1 to ${countText(adoptedPosition)}</strong> were stored before this log began${at === undefined ? null : html`, ${timeOf(parseInstantMs(at) ?? 0)}`}: it shows that they have not changed since, and nothing of the time before.</li>`;
};

const unstated = ({ status: { unstatedSources }, statements }: EvidenceView): Html | null => {
  if (unstatedSources <= 0) return html`<li class="muted">Coverage of every source has been stated.</li>`;
  const more = unstatedSources - statements.unstated.length;
  return html`<li><strong>${countOf(unstatedSources, 'source')}</strong> without a statement of coverage: that nothing of ${unstatedSources === 1 ? 'it' : 'them'} is missing is not signed.
<span class="sub">${statements.unstated.map((source, n) => html`${n === 0 ? '' : ', '}${nameOf(source)}`)}${more > 0 ? ` and ${countText(more)} more` : ''}</span></li>`;
};

const unasked = ({ status: { heldBack } }: EvidenceView): Html | null =>
  heldBack === 0
    ? null
    : html`<li>Time of <strong>${countOf(heldBack, 'source')}</strong> that is covered, and is not stated: no request is recorded for it, or less is read than was stated before.</li>`;

const lastStated = ({ status: { statedSecondsAgo }, statements: { oldest }, nowMs }: EvidenceView): Html | null => {
  if (statedSecondsAgo === null) return null;
  return html`<li>What was read after the last statement of its source. The newest was made ${agoText(statedSecondsAgo)}${
    oldest === undefined ? null : html`, the oldest ${agoOf(oldest.statedAt, nowMs)} (${nameOf(oldest)})`
  }; <code>orgtrail evidence statement</code> makes one now.</li>`;
};

const nameOf = ({ kind, id, name }: ShownSource): string => (name === null ? `${kind} ${id}` : `${name} (${kind})`);

/** Newest first. Nothing for a first log that goes on. */
const historyPanel = ({ status, log }: EvidenceView): Html | null => {
  const begins = (log?.begins ?? []).toReversed();
  if (begins.length < 2 && status.state !== 'ended') return null;
  return html`<section class="panel" aria-labelledby="history"><h2 id="history">Logs of this tree</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Table of logs"><table>
<thead><tr><th scope="col">Log</th><th scope="col" class="number">From leaf</th><th scope="col">What happened</th></tr></thead>
<tbody>${begins.map((begin) => rowOf(begin, log ?? { begins, ends: [] }))}</tbody></table></div></section>`;
};

const rowOf = (begin: Begin, { begins, ends }: Pick<ShownLog, 'begins' | 'ends'>): Html => {
  const { number, index, at, by, reason, carried, lost_holds: holds } = begin;
  const next = begins.find((one) => one.index > index)?.index ?? Number.POSITIVE_INFINITY;
  const end = ends.find((one) => one.index > index && one.index < next);
  const lost =
    holds === null
      ? 'It is not known which holds are lost.'
      : holds.length === 0
        ? ''
        : `Holds ${holds.join(', ')} are lost.`;
  return html`<tr><th scope="row">${number}</th><td class="number">${countText(index)}</td>
<td>${index === 0 ? 'The first one.' : html`Begun ${timeOf(parseInstantMs(at) ?? 0)} by ${by}: ${reason} <span class="sub">The first ${countText(carried)} leaves are certain to be those of the log before; its later checkpoints prove what was lost. ${lost}</span>`}${end === undefined ? null : ended(end)}</td></tr>`;
};

type Begin = ShownLog['begins'][number];

const ended = ({ at, by, reason }: ShownLog['ends'][number]): Html =>
  html`<p>Ended ${timeOf(parseInstantMs(at) ?? 0)} by ${by}: ${reason}</p>`;

export const proofPanel = (event: FoundEvent, status: EvidenceStatus | undefined, nowMs: number): Html | null => {
  if (status === undefined) return null;
  const isSigned = event.position <= (status.signedPosition ?? 0);
  return html`<section class="panel" id="proof" aria-labelledby="proof-head"><h2 id="proof-head">Proof</h2>
${isSigned ? signed(event, status) : unsigned(event, status, nowMs)}
${stopped(status)}</section>`;
};

const signed = (
  { position }: FoundEvent,
  status: EvidenceStatus,
): Html => html`<p>It is in the log <span class="mono">${status.origin}</span>, under the checkpoint of ${countOf(status.signedSize ?? 0, 'leaf', 'leaves')}, signed ${agoText(status.signedSecondsAgo ?? 0)}.${
  position <= status.adoptedPosition
    ? ' It was stored before this log began: the proof says nothing of the time before.'
    : ''
}${isUnanchored(status) ? html` The log is <a href="${EVIDENCE_PATH}">unanchored</a>.` : null}</p>
<p class="hint"><code>orgtrail evidence prove ${position}</code> writes a bundle with this event alone, which verifies without database or settings.</p>`;

const unsigned = ({ receivedAt }: FoundEvent, status: EvidenceStatus, nowMs: number): Html => {
  const sinceMs = parseInstantMs(receivedAt);
  const since = html`${sinceMs === undefined ? null : `${agoText((nowMs - sinceMs) / 1_000)}, `}${exactInstantOf(receivedAt)}`;
  if (status.state === 'ended') return html`<p><strong>Not signed</strong>: the log was ended before.</p>`;
  return html`<p><strong>Not yet signed</strong>, since it was stored ${since}. ${
    status.signedSize === null
      ? 'No checkpoint is signed yet.'
      : `The last checkpoint has ${countOf(status.signedSize, 'leaf', 'leaves')}.`
  }${status.heldBy === null ? ' No process builds the log at the moment.' : ''}</p>`;
};

const stopped = (status: EvidenceStatus): Html | null =>
  isStopped(status)
    ? html`<p class="error-text">The log is ${status.state}${status.stateReason === null ? '' : `: ${status.stateReason}`}. Nothing is signed any more: <a href="${EVIDENCE_PATH}">what to do</a>.</p>`
    : null;

export const evidenceLine = (status: EvidenceStatus): Html | null => {
  const troubles = troublesOf(status);
  if (troubles.length === 0) return null;
  const state = isStopped(status) ? 'failing' : 'behind';
  return html`<section class="verdict verdict-${state}" aria-label="Evidence"><span class="state state-${state}">evidence</span>
<p>${troubles.join(' · ')}.</p><p><a href="${EVIDENCE_PATH}">Evidence</a></p></section>`;
};

type State = EvidenceStatus['state'];

/** The colour of an equally grave state of sources. */
const colours: Readonly<Record<State, SourceHealth>> = {
  building: 'behind',
  ok: 'fresh',
  halted: 'failing',
  behind: 'failing',
  'no key': 'failing',
  ended: 'quiet',
};

const meanings: Readonly<Record<State, string>> = {
  building: 'Events that were stored before the log began are still being hashed.',
  ok: 'The log grows, and what it has is signed.',
  halted: 'Nothing is signed any more.',
  behind:
    'The database went back, or may have: what is known to be signed is not in the log. Nothing is signed any more.',
  'no key': 'No process has the key that the log names. Nothing is signed any more.',
  ended: 'An operator has ended this log. What was signed stays good; nothing follows.',
};

/** With events waiting, something is wrong after this. */
const LATE_SECONDS = 900;

const troublesOf = (status: EvidenceStatus): readonly string[] => {
  const { state, stateReason, anchors, lagEvents, signedSecondsAgo, heldBy } = status;
  const troubles: string[] = [];
  if (state === 'ended') return troubles;
  if (isStopped(status)) troubles.push(`The evidence is ${state}${stateReason === null ? '' : `: ${stateReason}`}`);
  else if (lagEvents > 0 && (signedSecondsAgo ?? LATE_SECONDS) >= LATE_SECONDS && (state === 'ok' || heldBy === null)) {
    const last =
      signedSecondsAgo === null
        ? 'nothing is signed yet'
        : `the last checkpoint was signed ${spanText(signedSecondsAgo)} ago`;
    troubles.push(`${heldBy === null ? 'No process builds the evidence' : 'The evidence is late'}: ${last}`);
  }
  for (const { anchor, error } of anchors) {
    if (error !== null) troubles.push(`The anchor ${anchor} fails: ${error}`);
  }
  if (isUnanchored(status)) troubles.push('The evidence is unanchored');
  return troubles;
};

/** Undefined parts: the account may not read them. */
interface EvidenceView {
  readonly status: EvidenceStatus;
  readonly log: ShownLog | undefined;
  readonly checkpoint: NewestCheckpoint | undefined;
  readonly statements: Awaited<ReturnType<ShownEvidence['statements']>>;
  readonly isConfigured: boolean;
  readonly nowMs: number;
}

/** Of the page and what is below it. */
const EVIDENCE_PATH = '/evidence-log';
