import { detectionTitle } from '../../../findings/finding.ts';
import type { DetectionMute } from '../../../findings/mutes.sql.ts';
import { ruleNamed } from '../../../findings/rules.ts';
import { type Html, html } from '../html.ts';
import { timeOf } from '../words.ts';

/** Days. */
export const muteSpans = [1, 7, 30, 90] as const;
export const MAX_REASON = 1_000;

/** In the address, where a name stays what it is: in a field, characters that deceive would be shown as escapes. */
export const muteHref = (detection: string, actor: string | undefined): string =>
  `/detections/mute?${new URLSearchParams({ detection, ...(actor !== undefined && { actor }) })}`;

export interface MuteView {
  readonly detection: string;
  /** Undefined: of all actors. */
  readonly actor: string | undefined;
  /** Only who has signed in may mute: the name of the token is kept. */
  readonly who: string | undefined;
  readonly reason?: string;
  readonly fault?: string;
}

/** Asks what is to be muted, why and until when. */
export const muteBody = (view: MuteView): Html => {
  const title = detectionTitle(view.detection);
  return html`<div class="stack"><p class="crumbs"><a href="/detections">Detections</a></p><h1>Mute ${title}</h1>
<section class="panel" aria-labelledby="what"><h2 id="what">What it does</h2><div class="stack">
<p><strong>${title}</strong>: ${ruleNamed(view.detection)?.what}.</p>
<ul class="points"><li>The list of findings and its counts leave out what is muted, in every session of this console. It stays stored, and the list shows it on request.</li>
<li>Nothing else changes: sinks, the feed, SQL, Sigma and the marks of events know nothing of it.</li>
<li>Your name, the reason and the time are kept, here and in the trail of access.</li></ul></div></section>
${view.who === undefined ? mustSignIn : form(view, view.who)}</div>`;
};

const mustSignIn = html`<p class="fault">Who mutes must be signed in, so that it is known who did: set <code>ORGTRAIL_FEED_TOKEN</code>, or make a token with <code>orgtrail token create NAME --scope search</code>, and sign in.</p>`;

const form = ({ detection, actor, reason, fault }: MuteView, who: string): Html =>
  html`<form class="panel stack" method="post" action="${muteHref(detection, actor)}" aria-label="Mute">
${fault === undefined ? null : html`<p class="fault" role="alert" id="mute-fault">${fault}</p>`}
${actor === undefined ? html`<p>All findings of this rule.</p>` : html`<p>Findings of this rule by <strong>${actor}</strong> alone. <a href="${muteHref(detection, undefined)}">Of all actors instead</a></p>`}
<div class="field"><label for="reason">Reason</label><input id="reason" name="reason" type="text" maxlength="${MAX_REASON}" required value="${reason ?? ''}" autocomplete="off"${fault === undefined ? null : html` aria-invalid="true" aria-describedby="mute-fault"`}></div>
<div class="field"><label for="days">For</label><select id="days" name="days">${muteSpans.map((days) => html`<option value="${days}"${days === 7 ? html` selected` : null}>${days === 1 ? '1 day' : `${days} days`}</option>`)}<option value="">until it is unmuted</option></select></div>
<div class="row"><button class="primary" type="submit">Mute as ${who}</button><a class="button" href="/detections">Cancel</a></div></form>`;

/** Asks before a mute is ended. */
export const unmuteBody = (mute: DetectionMute, who: string | undefined): Html =>
  html`<div class="stack"><p class="crumbs"><a href="/detections">Detections</a></p><h1>Unmute ${detectionTitle(mute.detection)}</h1>
<section class="panel" aria-labelledby="what"><h2 id="what">What is muted</h2><p>${scopeOf(mute)}. Reason: ${mute.reason}</p></section>
${
  who === undefined
    ? mustSignIn
    : html`<form class="panel" method="post" action="/detections/mutes/${mute.id}/end" aria-label="Unmute"><div class="row"><button class="primary" type="submit">Unmute as ${who}</button><a class="button" href="/detections">Cancel</a></div></form>`
}</div>`;

const scopeOf = ({ actor }: DetectionMute): Html =>
  actor === null ? html`All findings of the rule` : html`Findings by <strong>${actor}</strong>`;

/** What is muted at this moment, by whom, why and until when. */
export const mutesPanel = (mutes: readonly DetectionMute[]): Html | null =>
  mutes.length === 0
    ? null
    : html`<section class="panel" aria-labelledby="mutes"><h2 id="mutes">Muted</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Table of mutes"><table class="sinks">
<thead><tr><th scope="col">Rule</th><th scope="col">What</th><th scope="col">Reason</th><th scope="col">By</th><th scope="col">Until</th><th scope="col">Action</th></tr></thead>
<tbody>${mutes.map(
        (mute) =>
          html`<tr><th scope="row">${detectionTitle(mute.detection)}</th><td>${scopeOf(mute)}</td><td>${mute.reason}</td>
<td>${mute.createdBy}<p class="sub">${timeOf(mute.createdAt)}</p></td><td>${mute.mutedUntil === null ? 'it is unmuted' : timeOf(mute.mutedUntil)}</td>
<td><a href="/detections/mutes/${mute.id}/end" aria-label="Unmute ${detectionTitle(mute.detection)}">Unmute</a></td></tr>`,
      )}</tbody></table></div></section>`;
