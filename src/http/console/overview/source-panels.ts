import {
  DELAY,
  laneTroubleText,
  NOT_COLLECTED,
  notCollectedSentence,
  type SourceHealth,
} from '../../../status/health.ts';
import type { DrawnHole, SourceCoverage, TimeRange } from '../../../status/overview.sql.ts';
import type { SourceWithState } from '../../../status/source-state.ts';
import { type Html, html } from '../html.ts';
import { type Paces, readingSentence, shownState } from '../source-states.ts';
import { agoOf, countOf, countText, spanText, timeOf, zoneLabel } from '../words.ts';
import { slackText } from './organizations.ts';
import { coverageTimeline, isAhead, type Span, type Tail } from './timeline.ts';

const MAX_GAPS = 200;
const HOUR_MS = 3_600_000;

const meanings: Record<SourceHealth, string> = {
  fresh: 'Up to date.',
  quiet: 'Up to date. Nothing has happened in it for a day or more.',
  behind: 'Being collected, and not up to date yet.',
  incomplete:
    'Cloudflare cannot serve some ranges of time, usually seconds, even in parts: entries may be missing there. All other time is collected, or being collected.',
  failing: 'An attempt of a lane failed. orgtrail tries again by itself, each time a little later; other lanes go on.',
  refused: 'Cloudflare refuses to show its log. Check what the credential may do; orgtrail tries again by itself.',
};

export const explanation = (
  source: SourceWithState,
  paces: Paces,
): Html => html`<section class="verdict verdict-${shownState(source)}" aria-label="State"><p>${source.firstReading ? readingSentence(source, paces) : html`${meanings[source.state]} ${notCollectedSentence(source)}`}</p>
${source.failingLanes.map((trouble) => html`<p class="error-text">${laneTroubleText(trouble)} (${countOf(trouble.failures, 'failure')} in a row${trouble.lastFailure === null ? null : `, the last: ${trouble.lastFailure}`})</p>`)}</section>`;

export const facts = (source: SourceWithState, events: number, nowMs: number): Html => html`<dl class="tiles">
${fact(DELAY, spanText(source.lagSeconds))}
${fact(NOT_COLLECTED, spanText(source.gapSeconds))}
${source.holes === 0 ? null : fact('Not available', countOf(source.holes, 'hole'))}
${source.unprovenSeconds === 0 ? null : fact('Not proven yet', html`${spanText(source.unprovenSeconds)} <span class="sub">claimed by version 0.1</span>`)}
${source.readOnceSeconds === 0 ? null : fact('Read once', html`${spanText(source.readOnceSeconds)} <span class="sub">read again a day later</span>`)}
${fact('Until Cloudflare deletes it', slackText(source))}
${fact('Events, 48 h', countText(events))}
${fact('Last success', agoOf(source.lastSuccessAt, nowMs))}
${fact('Worker lease', source.leaseOwner ?? 'none')}
</dl>`;

const fact = (name: string, value: Html | string): Html =>
  html`<div class="tile"><dt>${name}</dt><dd class="tile-value small">${value}</dd></div>`;

export const coveragePanels = (
  source: SourceWithState,
  coverage: SourceCoverage,
  ordinary: Tail,
  settleDelaysMs: readonly number[],
): Html => {
  const tail = { ...ordinary, readsHistory: source.firstReading };
  const { sinceMs, nowMs } = coverage;
  const spans = [
    { name: 'All of it', fromMs: sinceMs },
    { name: 'The last 7 days', fromMs: nowMs - 168 * HOUR_MS },
    { name: 'The last 24 hours', fromMs: nowMs - 24 * HOUR_MS },
  ].filter(({ fromMs }, index) => index === 0 || fromMs > sinceMs);
  return html`<section class="panel" aria-labelledby="coverage"><h2 id="coverage">Coverage</h2>
${spans.map(({ name, fromMs }) => largeTimeline(name, coverage, { fromMs, toMs: nowMs }, tail, settleDelaysMs.length))}
<ul class="legend"><li><span class="key key-read"></span>collected</li><li><span class="key key-gap"></span>not collected</li>${source.firstReading ? html`<li><span class="key key-ahead"></span>not read yet</li>` : null}${coverage.holes.length === 0 ? null : html`<li><span class="key key-hole"></span>not available</li>`}<li><span class="key key-walk"></span>being collected</li>
${settleDelaysMs.map((delayMs, index) => html`<li><span class="key key-pass"></span>${index === 0 ? 'upper' : 'next'} thin track: re-checked after ${spanText(delayMs / 1_000)} for late entries</li>`)}</ul></section>
<section class="panel" aria-labelledby="gaps"><h2 id="gaps">${NOT_COLLECTED}: ${spanText(source.gapSeconds)}</h2>${gapTable(coverage, tail)}
${walks(coverage)}</section>`;
};

const largeTimeline = (
  name: string,
  coverage: SourceCoverage,
  span: Span,
  tail: Tail,
  passes: number,
): Html => html`<div class="timeline-large"><h3>${name}</h3>${coverageTimeline(coverage, span, tail, passes)}
<div class="chart-axis" aria-hidden="true"><span>${timeOf(span.fromMs)}</span><span>now</span></div></div>`;

const gapTable = (coverage: SourceCoverage, tail: Tail): Html => {
  const gaps = [...coverage.gaps].reverse();
  if (gaps.length === 0) return html`<p class="muted">All of it is collected.</p>`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Table of time that is not collected"><table>
${gaps.length > MAX_GAPS ? html`<caption>The newest ${MAX_GAPS}</caption>` : null}
<thead><tr><th scope="col">From (${zoneLabel()})</th><th scope="col">To</th><th scope="col"><span class="unseen">Why</span></th><th scope="col" class="number">Length</th></tr></thead>
<tbody>${gaps.slice(0, MAX_GAPS).map((gap) => html`<tr><td>${timeOf(gap[0])}</td><td>${timeOf(gap[1])}</td><td class="muted">${reasonOf(coverage, tail, gap)}</td><td class="number">${spanText((gap[1] - gap[0]) / 1_000)}</td></tr>`)}</tbody></table></div>`;
};

const reasonOf = (coverage: SourceCoverage, tail: Tail, gap: TimeRange): string | null => {
  const { nowMs, holes } = coverage;
  const [fromMs, toMs] = gap;
  if (holes.some(({ range }) => range[0] <= fromMs && range[1] >= toMs)) return 'not available';
  if (isAhead(coverage, tail, gap)) return 'history: read next, the newest of it first';
  return toMs >= nowMs && toMs - fromMs <= tail.ordinaryMs ? 'the newest: collected next' : null;
};

const walks = ({ walks }: SourceCoverage): Html | null =>
  walks.length === 0
    ? null
    : html`<p class="walks">Being collected: ${walks.map(
        ({ lane, range, readUntilMs }, index) =>
          html`${index === 0 ? '' : '; '}${lane}, ${timeOf(range[0])} to ${timeOf(range[1])}${readUntilMs === null ? '' : html`, arrived at ${timeOf(readUntilMs)}`}`,
      )}.</p>`;

/** `total` counts all holes; the coverage has the newest. */
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

/** To the events of an organization or account, and to what detections found in them. */
export const eventsLinks = (owner: 'organization' | 'account', id: string): Html => {
  const link = (words: string, parameters: Readonly<Record<string, string>>, path = '/events'): Html =>
    html`<a class="quiet-button" href="${path}?${String(new URLSearchParams({ [owner]: id, ...parameters }))}">${words}</a>`;
  return html`<nav class="row" aria-label="Its events"><span class="muted">Events:</span>
${link('last 24 hours', { since: '24h' })}
${link('last 7 days', { since: '7d' })}
${link('failures, 7 days', { since: '7d', result: 'failure' })}
${link('deletions, 30 days', { since: '30d', action: 'delete' })}
${owner === 'account' ? null : link('detections, 7 days', { since: '7d' }, '/detections')}</nav>`;
};
