import type { Hold } from '../../../retention/holds.sql.ts';
import { type Html, html } from '../html.ts';
import { operationsHead } from '../operations/operations-menu.ts';
import { countOf, instantOf, timeOf } from '../words.ts';

/** All legal holds: those in force, and those that were released. */
export const holdsBody = (holds: readonly Hold[]): Html => {
  const inForce = holds.filter(({ releasedAt }) => releasedAt === null);
  const released = holds.filter(({ releasedAt }) => releasedAt !== null);
  return html`<div class="stack">
${operationsHead('/holds', 'Legal holds')}
<section class="panel" aria-labelledby="in-force"><h2 id="in-force">${countOf(inForce.length, 'hold')} in force</h2>
${inForce.length === 0 ? html`<p class="empty">None: retention drops months as soon as they are old enough.</p>` : table(inForce, 'Table of holds in force')}</section>
${released.length === 0 ? null : html`<section class="panel" aria-labelledby="released"><h2 id="released">Released</h2>${table(released, 'Table of released holds')}</section>`}
<section class="panel" aria-labelledby="change"><h2 id="change">To add and to release one</h2><div class="stack">
<p>Holds are changed by commands, with an account that owns the schema: the account of the daemon can neither add one nor release one. Each command is a row <code>hold</code> in the trail of access.</p>
<pre class="text" tabindex="0" role="region" aria-label="Commands">orgtrail hold add --organization ID --since 2026-01-01 --before 2026-04-01 --reason 'case 4711' --by jane.doe
orgtrail hold release ID --by jane.doe</pre></div></section>
</div>`;
};

const table = (
  holds: readonly Hold[],
  name: string,
): Html => html`<div class="scroll" tabindex="0" role="region" aria-label="${name}"><table class="sinks">
<thead><tr><th scope="col">Hold</th><th scope="col">Keeps events of</th><th scope="col">From</th><th scope="col">Until</th><th scope="col">Reason</th><th scope="col">Added by</th></tr></thead>
<tbody>${[...holds].reverse().map(row)}</tbody></table></div>`;

const row = (hold: Hold): Html => html`<tr><th scope="row">${hold.id}</th><td>${keptOf(hold)}</td>
<td>${hold.since === null ? 'the beginning' : instantOf(hold.since)}</td><td>${hold.before === null ? 'no end' : instantOf(hold.before)}</td>
<td>${hold.reason}</td><td>${hold.createdBy ?? hold.createdAs}<p class="sub">${timeOf(hold.createdAt)}${hold.createdBy === null ? null : html`, database account ${hold.createdAs}`}</p>
${hold.releasedAt === null ? null : html`<p class="sub">released by ${hold.releasedBy ?? hold.releasedAs} ${timeOf(hold.releasedAt)}</p>`}</td></tr>`;

const keptOf = ({ organizationId, organizationName, accountId, accountName }: Hold): Html => {
  if (accountId !== null) {
    return html`the account <a href="/accounts/${encodeURIComponent(accountId)}">${accountName ?? accountId}</a>`;
  }
  if (organizationId === null) return html`<strong>everything</strong>`;
  return html`the organization <a href="/organizations/${encodeURIComponent(organizationId)}">${organizationName ?? organizationId}</a>`;
};
