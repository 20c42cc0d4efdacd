import { html } from '../html.ts';

/** What each finding means, and what is done about it. */
export const meaningsPanel = html`<section class="panel" aria-labelledby="meanings"><h2 id="meanings">What a finding means</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Table of findings"><table>
<thead><tr><th scope="col">Finding</th><th scope="col">It means</th><th scope="col">What repairs it</th></tr></thead>
<tbody>
<tr><th scope="row">Missing</th><td>Cloudflare serves the entry, and it was not stored: removed from the database by hand, later than all passes of <code>ORGTRAIL_SETTLE</code>, or read wrongly. In a run over time that is not collected yet it is only that.</td><td>A round stores it at once. A run stores it with <code>--fix</code>.</td></tr>
<tr><th scope="row">Changed</th><td>Cloudflare serves the entry with other content than all that is stored of it. What was stored first stays as it is.</td><td>A round records the other content at once, a run with <code>--fix</code>; the event's page then shows the difference.</td></tr>
<tr><th scope="row">Extra</th><td>The entry is stored, and Cloudflare no longer serves it.</td><td>Nothing is to be repaired: what is stored is kept, and is now the only copy.</td></tr>
<tr><th scope="row">Not compared to the end</th><td>A log could not be read up to the end of the time, or the run was stopped; nothing is known of the rest.</td><td>The same run again, once the reason that it names is gone.</td></tr>
</tbody></table></div>
<p class="hint">A finding without an explanation is worth one: compare with the trail of the database, and with <a href="/evidence-log">the evidence</a>. These results are what the processes of orgtrail noted themselves; who holds the account of the daemon could note others. The newest are kept: 1,000 runs, and of each log 3 rounds and 20 that found something.</p></section>`;
