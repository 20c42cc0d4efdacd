import type { DrawnHole, SourceCoverage } from '../../../status/overview/overview.ts';
import { type Html, html } from '../html.ts';
import { countOf, timeOf, zoneLabel } from '../words.ts';

/** The holes of an organization, with their reasons. `total` counts all of them; the coverage has the newest. */
export const holesPanel = ({ holes, nowMs }: SourceCoverage, total: number): Html | null =>
  holes.length === 0
    ? null
    : html`<section class="panel" aria-labelledby="holes"><h2 id="holes">${countOf(total, 'hole')}</h2>
<p class="muted">These seconds could not be read to a credible end, even in parts: entries may be missing there. orgtrail retries each after an hour, later once a week.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Table of holes"><table>
${total > holes.length ? html`<caption>The newest ${holes.length}</caption>` : null}
<thead><tr><th scope="col">From (${zoneLabel()})</th><th scope="col">To</th><th scope="col">Reason</th><th scope="col" class="number">Attempts</th><th scope="col">Next</th></tr></thead>
<tbody>${holes.map((hole) => holeRow(hole, nowMs))}</tbody></table></div></section>`;

const holeRow = ({ range, reason, message, attempts, nextAttemptAtMs }: DrawnHole, nowMs: number): Html =>
  html`<tr><td>${timeOf(range[0])}</td><td>${timeOf(range[1])}</td><td>${reason} <span class="sub">${message}</span></td><td class="number">${attempts}</td><td>${nextAttemptAtMs <= nowMs ? 'now' : timeOf(nextAttemptAtMs)}</td></tr>`;
