import type { NamedSource } from '../../../evidence/shown/shown-evidence.ts';
import { type Html, html } from '../html.ts';
import { agoOf, agoText, countOf, countText, timeOf } from '../words.ts';
import type { EvidenceView } from './evidence-view.ts';

/** What the log does not cover, or not yet. */
export const uncoveredPanel = (
  view: EvidenceView,
): Html => html`<section class="panel" aria-labelledby="uncovered"><h2 id="uncovered">What is not covered</h2>
<ul class="points">${[unhashed(view), adopted(view), unstated(view), lastStated(view)]}
<li>That Cloudflare told the truth or everything, that the clock of the host was right, or who did something.</li></ul></section>`;

const unhashed = ({ status: { lagEvents, state } }: EvidenceView): Html | null =>
  lagEvents <= 0
    ? null
    : html`<li><strong>${countOf(lagEvents, 'event')}</strong> ${lagEvents === 1 ? 'has' : 'have'} no leaf${state === 'ended' ? ': the log was ended before' : ' yet'}.</li>`;

const adopted = ({ status: { adoptedSize }, journal }: EvidenceView): Html | null => {
  if (adoptedSize <= 0) return null;
  const at = journal?.begunAt ?? null;
  return html`<li><strong>Positions 1 to ${countText(adoptedSize)}</strong> were stored before this log began${at === null ? null : html`, ${timeOf(at)}`}: it shows that they have not changed since, and nothing of the time before.</li>`;
};

const unstated = ({ status: { unstatedSources }, statements }: EvidenceView): Html | null => {
  if (unstatedSources <= 0) return html`<li class="muted">Coverage of every source has been stated.</li>`;
  const more = unstatedSources - statements.unstated.length;
  return html`<li><strong>${countOf(unstatedSources, 'source')}</strong> without a statement of coverage: that nothing of ${unstatedSources === 1 ? 'it' : 'them'} is missing is not signed.
<span class="sub">${statements.unstated.map((source, n) => html`${n === 0 ? '' : ', '}${nameOf(source)}`)}${more > 0 ? ` and ${countText(more)} more` : ''}</span></li>`;
};

const lastStated = ({ status: { statedSecondsAgo }, statements: { oldest }, nowMs }: EvidenceView): Html | null => {
  if (statedSecondsAgo === null) return null;
  return html`<li>What was read after the last statement of its source. The newest was made ${agoText(statedSecondsAgo)}${
    oldest === undefined ? null : html`, the oldest ${agoOf(oldest.statedAt, nowMs)} (${nameOf(oldest)})`
  }; <code>orgtrail evidence statement</code> makes one now.</li>`;
};

const nameOf = ({ kind, id, name }: NamedSource): string => (name === null ? `${kind} ${id}` : `${name} (${kind})`);
