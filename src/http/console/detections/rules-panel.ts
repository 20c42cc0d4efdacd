import { detectionTitle } from '../../../findings/finding.ts';
import type { FindingCount } from '../../../findings/list-findings.sql.ts';
import { canBeMuted } from '../../../findings/mutes.sql.ts';
import { type DetectionRule, detectionRules } from '../../../findings/rules.ts';
import { type Html, html } from '../html.ts';
import { countText } from '../words.ts';
import { severityMark } from './detection-words.ts';
import { type DetectionsGiven, detectionsHref } from './detections-view.ts';
import { muteHref } from './mute-pages.ts';

/** Each rule with what it means, what else it finds, and how many there are. The one that is asked for is all there is then. */
export const rulesPanel = (given: DetectionsGiven, counts: readonly FindingCount[] | undefined): Html => {
  const shown = detectionRules.filter(({ name }) => given.detection === '' || given.detection === name);
  return html`<section class="panel" aria-labelledby="rules"><h2 id="rules">What the rules mean</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Table of rules"><table class="sinks">
<thead><tr><th scope="col">Rule</th><th scope="col">Severity</th><th scope="col" class="number">Found</th><th scope="col">Means</th><th scope="col">Also finds</th></tr></thead>
<tbody>${shown.map((rule) => row(rule, given, counts))}</tbody></table></div>
<p class="hint">docs/detections.md has all of it: what is known of Cloudflare's words, other thresholds, rules of your own.</p></section>`;
};

const row = (
  { name, severity, what, alsoFinds, sigma }: DetectionRule,
  given: DetectionsGiven,
  counts: readonly FindingCount[] | undefined,
): Html => {
  const count = counts?.find(({ detection }) => detection === name);
  const found = (count?.found ?? 0) - (given.muted === 'shown' ? 0 : (count?.muted ?? 0));
  return html`<tr id="rule-${name}"><th scope="row">${detectionTitle(name)}<p class="sub mono">detection_${name}</p>${canBeMuted(name) ? html`<p class="sub"><a href="${muteHref(name, undefined)}" aria-label="Mute ${detectionTitle(name)}">Mute</a></p>` : null}</th><td>${severityMark(severity)}</td>
<td class="number">${counts === undefined ? html`<span class="muted">–</span>` : found === 0 ? '0' : html`<a href="${detectionsHref(given, { detection: name })}">${countText(found)}</a>`}</td>
<td>${what}.<p class="sub">${sigma === undefined ? 'No Sigma rule: Sigma cannot ask for what was not there before.' : html`Sigma: <span class="mono">${sigma}</span>`}</p></td><td>${alsoFinds}</td></tr>`;
};
