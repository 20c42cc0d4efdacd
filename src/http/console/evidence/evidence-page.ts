import type { ShownLog } from '../../../evidence/shown/shown-evidence.ts';
import { type EvidenceStatus, isUnanchored } from '../../../evidence/stored/evidence-status.sql.ts';
import { type Html, html } from '../html.ts';
import { agoOf, agoText, countOf, countText, timeOf } from '../words.ts';
import { EVIDENCE_PATH, type EvidenceView } from './evidence-view.ts';
import { colours, meanings } from './evidence-words.ts';
import { historyPanel } from './history-panel.ts';
import { uncoveredPanel } from './uncovered-panel.ts';

export const evidenceBody = (view: EvidenceView): Html => html`<div class="stack">
<div class="row between"><h1>Evidence</h1><p class="muted live" data-connection-note role="status"></p></div>
${verdict(view)}
${anchorNote(view)}
${view.journal === undefined ? noRight : null}
<div class="grid-2">${logPanel(view, 'events')}${logPanel(view, 'journal')}</div>
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

const fork = html`Collect every checkpoint that was kept outside the database, and give all of them to
<code>orgtrail evidence fork --reason … --by … --anchor CHECKPOINT…</code>, as the owner of the schema. Collecting goes on; retention drops nothing until then.`;

const whatToDo: Readonly<Partial<Record<EvidenceStatus['state'], Html>>> = {
  halted: html`Find out what the reason says: <code>orgtrail evidence verify</code> names each position that does not hold. Signing goes on by itself
once a drop, a jump after a failover or the missing event explains it. Collecting goes on; retention drops nothing until then.`,
  behind: fork,
  forked: fork,
  ended: html`<code>orgtrail evidence fork</code> goes on after it, and has leaves for what came meanwhile.`,
};

const anchorNote = ({ status }: EvidenceView): Html | null =>
  status.state === 'ended' || !isUnanchored(status)
    ? null
    : html`<section class="verdict verdict-behind" aria-label="Unanchored"><span class="state state-behind">unanchored</span>
<p>No checkpoint of the events is known to be kept outside this database: its owner, with the key, could rewrite all of it. Set <code>ORGTRAIL_EVIDENCE_ANCHORS</code>, or keep the checkpoints below elsewhere.</p></section>`;

const noRight = html`<p class="fault">The account of the database may see how the log stands, and not the log itself: its keys, checkpoints and forks are not shown here, and no proof can be made. <code>grant orgtrail_evidence to …</code></p>`;

const names = { events: 'Log of events', journal: 'Log of statements' } as const;

const logPanel = ({ status, logs, journal, checkpoints, nowMs }: EvidenceView, name: ShownLog['log']): Html | null => {
  const log = logs.find((one) => one.log === name && one.generation === status.generation);
  if (log === undefined) return null;
  const { origin, generation, size, signedSize, signedAt } = log;
  const checkpoint = checkpoints?.find((one) => one.log === name);
  const key = journal?.vkeys.find((vkey) => vkey.startsWith(`${origin}+`));
  return html`<section class="panel facts" aria-labelledby="log-${name}"><h2 id="log-${name}">${names[name]}</h2><dl>
${fact('Origin', html`<span class="mono">${origin}</span>`)}
${fact('Generation', String(generation))}
${fact('Size', `${countOf(size, name === 'events' ? 'position' : 'statement')}`)}
${fact('Last checkpoint', signedSize === null ? 'nothing is signed yet' : html`of ${countText(signedSize)}, ${agoOf(signedAt, nowMs)}${signedAt === null ? null : html` <span class="sub">${timeOf(signedAt)}</span>`}`)}
${checkpoint === undefined ? null : fact('Root', html`<span class="mono">${checkpoint.root.toString('base64')}</span>`)}
${key === undefined ? null : fact('Key', html`<span class="mono">${key}</span>`)}
</dl>${
    checkpoint === undefined && key === undefined
      ? null
      : html`<p class="row actions">${
          checkpoint === undefined
            ? null
            : html`<a class="quiet-button" href="${EVIDENCE_PATH}/${name}/checkpoint" download>Download checkpoint<span class="unseen"> of the ${names[name]}</span></a>`
        }${
          key === undefined
            ? null
            : html`<a class="quiet-button" href="${EVIDENCE_PATH}/${name}/key" download>Download key<span class="unseen"> of the ${names[name]}</span></a><button class="quiet-button" type="button" data-copy="${EVIDENCE_PATH}/${name}/key" data-keep hidden>Copy key</button>`
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
    ? html`<p class="muted">No anchor has kept anything of this generation.</p>`
    : html`<div class="scroll" tabindex="0" role="region" aria-label="Table of anchors"><table class="sinks">
<thead><tr><th scope="col">Anchor</th><th scope="col">State</th><th scope="col" class="number">Keeps</th><th scope="col" class="number">Last success</th></tr></thead>
<tbody>${status.anchors.map((anchor) => anchorRow(anchor, nowMs))}</tbody></table></div>`
}</section>`;

const anchorRow = (
  { anchor, size, secondsAgo, error }: EvidenceStatus['anchors'][number],
  nowMs: number,
): Html => html`<tr><th scope="row">${anchor}${error === null ? null : html`<p class="error-text">${error}</p>`}</th>
<td>${error === null ? html`<span class="state state-fresh">ok</span>` : html`<span class="state state-failing">failing</span>`}</td>
<td class="number">${size !== null ? countOf(size, 'event') : secondsAgo === null ? 'nothing yet' : 'statements'}</td>
<td class="number">${secondsAgo === null ? html`<span class="muted">never</span>` : html`${timeOf(nowMs - secondsAgo * 1_000)}<p class="sub">${agoText(secondsAgo)}</p>`}</td></tr>`;

const verifyPanel = html`<section class="panel" aria-labelledby="verify"><h2 id="verify">For an auditor</h2>
<ul class="points"><li><code>orgtrail evidence verify</code> hashes all that is stored again, and compares it with the last checkpoint.</li>
<li><code>orgtrail evidence export DIR</code> writes a bundle that verifies offline, with its own verifier; with <code>--organization</code> or <code>--account</code> one of one log.</li>
<li>The page of each <a href="/events">event</a> has its proof; a result of a search can be exported as a bundle.</li>
<li>Give the keys to auditors on another way than the evidence, and keep checkpoints elsewhere.</li></ul></section>`;

/** Without a log: what it would be, and how to begin. */
export const noEvidenceBody = (isConfigured: boolean): Html => html`<div class="stack"><h1>Evidence</h1>
<section class="panel" aria-labelledby="none"><h2 id="none">${isConfigured ? 'No log has been begun' : 'Evidence is not configured'}</h2>
<div class="stack"><p>orgtrail can keep a signed Merkle log of what it stores, so that an auditor can verify offline that nothing was changed, removed or put in between.
${isConfigured ? html`It is configured here, and there is no log in the database yet: the process that has the key begins it, or a command does.` : html`Until it is begun, nothing here is signed, and what is stored now will be proven from that day on only.`}</p>
<pre class="text" tabindex="0" role="region" aria-label="Commands">${commands}</pre>
<p class="hint">docs/evidence.md has all of it: what the log shows and what it does not, anchors, and what to know before it is switched on.</p></div></section></div>`;

const commands = `export ORGTRAIL_EVIDENCE_ORIGIN=audit.example.com/evidence       # names the log; cannot be changed later
export ORGTRAIL_EVIDENCE_KEY_FILE=/run/secrets/evidence-key.pem  # Ed25519; keep a copy of it
orgtrail migrate --roles                                         # once, as the owner of the schema
psql -c 'grant orgtrail_evidence to orgtrail_daemon'             # the account of the daemon
orgtrail evidence init                                           # begins the log, prints the keys for auditors`;
