import type { ShownFork, ShownLog } from '../../../evidence/shown/shown-evidence.ts';
import { parseInstantMs } from '../../../time/instant.ts';
import { type Html, html } from '../html.ts';
import { countText, timeOf } from '../words.ts';
import type { EvidenceView } from './evidence-view.ts';

/** Forks and ends: the generations of the log, the newest first. Nothing for a first generation that goes on. */
export const historyPanel = ({ logs, journal }: EvidenceView): Html | null => {
  const generations = logs.filter(({ log }) => log === 'events');
  if (generations.length < 2 && generations.every(({ endedAt }) => endedAt === null)) return null;
  return html`<section class="panel" aria-labelledby="generations"><h2 id="generations">Forks and ends</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Table of generations"><table>
<thead><tr><th scope="col">Generation</th><th scope="col">Origin</th><th scope="col" class="number">Signed</th><th scope="col">What happened</th></tr></thead>
<tbody>${generations.map((log) =>
    rowOf(
      log,
      journal?.forks.find(({ generation }) => generation === log.generation),
    ),
  )}</tbody></table></div></section>`;
};

const rowOf = (
  log: ShownLog,
  fork: ShownFork | undefined,
): Html => html`<tr><th scope="row">${log.generation}</th><td class="mono">${log.origin}</td>
<td class="number">${log.signedSize === null ? 'nothing' : countText(log.signedSize)}</td>
<td>${fork === undefined ? (log.generation === 1 ? 'The first one.' : null) : forked(fork)}${log.endedAt === null ? null : ended(log, log.endedAt)}</td></tr>`;

const forked = ({ at, cause, by, commonSize }: ShownFork): Html =>
  html`Forked ${timeOf(parseInstantMs(at) ?? 0)} by ${by}: ${cause} <span class="sub">The first ${countText(commonSize)} positions are the same in the generation before; its later checkpoints prove what was lost.</span>`;

const ended = ({ endedBy, endedReason }: ShownLog, at: Date): Html =>
  html`<p>Ended ${timeOf(at)} by ${endedBy ?? 'an unknown operator'}: ${endedReason ?? 'no reason is known'}</p>`;
