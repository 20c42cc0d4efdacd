import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import {
  type ArchivedMonth,
  type ArchiveFault,
  type ArchiveOverview,
  readArchiveOverview,
} from '../../archive/archive-status.sql.ts';
import { type Hold, readHolds } from '../../archive/holds.sql.ts';
import { orderThaw } from '../../archive/thaw/thaw-operation.ts';
import { readThaws, type Thaw } from '../../archive/thaw/thaws.sql.ts';
import { OrgtrailError } from '../../base/errors.ts';
import { perform, readInput } from '../../base/operation.ts';
import { formatDuration } from '../../base/time.ts';
import { changeNote } from '../access-trail.ts';
import { httpError } from '../failure.ts';
import { commandBlock, type Html, html } from './html.ts';
import { OPERATIONS_PATH, type Operations, operationsHead } from './operations.ts';
import { type Frame, hidden, sendPage } from './page.ts';
import { sessionProofOf } from './sign-in.routes.ts';
import { countOf, countText, instantOf, timeOf, zoneLabel } from './words.ts';

interface ShownArchive extends ArchiveOverview {
  readonly configured: string | undefined;
  readonly retentionMs: number;
  readonly thaws: readonly Thaw[];
}

const REFRESH_SECONDS = 10;

/** `/archive`: the months on object storage, what retention takes next, and what came back. The database decides who may thaw, and keeps the row. */
export const archivePages = (
  pages: FastifyInstance,
  frame: Frame,
  { operations, logger }: { readonly operations: Operations; readonly logger: Logger },
): void => {
  pages.get('/archive', { schema: hidden }, async (request, reply) => {
    const { pool, config } = operations;
    const { archive, retentionMs } = config;
    const overview = await readArchiveOverview(pool, retentionMs);
    const thaws = (await readThaws(pool)).filter(({ state }) => state !== 'ended');
    const body = archiveBody({ ...overview, configured: archive?.target.name, retentionMs, thaws });
    const refreshSeconds = thaws.some(({ state }) => state === 'asked') && REFRESH_SECONDS;
    const page = { title: 'Archive', current: OPERATIONS_PATH, body, ...(refreshSeconds && { refreshSeconds }) };
    return sendPage(request, reply, frame, page);
  });
  pages.post<{ Body: Readonly<Record<string, unknown>> | undefined }>(
    '/archive/thaw',
    { schema: hidden },
    async (request, reply) => {
      const proof = sessionProofOf(request);
      if (proof === undefined)
        throw httpError(403, `Only a session that has signed in ${WITH_TOKEN} may thaw a month.`);
      const { pool, config } = operations;
      const giver = { proof, address: request.ip, route: 'POST /archive/thaw' };
      const { month, for: wanted } = request.body ?? {};
      try {
        const input = readInput(orderThaw, { month, for: wanted }, (field) => field);
        await perform(orderThaw, { pool, config, giver } as never, input);
      } catch (error) {
        if (!(error instanceof OrgtrailError)) throw error;
        if (error.code === 'configuration') throw httpError(403, `A month is thawed by a session ${WITH_TOKEN}.`);
        throw httpError(409, `Nothing was changed: ${error.message}.`);
      }
      logger.info({ access: changeNote(request, 'archive', { month, for: wanted }) }, 'access: archive thaw ok');
      return reply.redirect('/archive#thaws', 303);
    },
  );
};

const WITH_TOKEN = 'with a token that has the scopes search and manage';

const archiveBody = (archive: ShownArchive): Html => html`<div class="stack">
${operationsHead('/archive', 'Archive')}
${statePanel(archive)}
${archive.faults.length === 0 ? null : faultsPanel(archive.faults)}
${duePanel(archive)}
${archive.thaws.length === 0 ? null : thawPanel(archive.thaws)}
<section class="panel" aria-labelledby="months"><h2 id="months">Months</h2>
${archive.months.length === 0 ? html`<p class="empty">None is archived, was dropped, or is old enough to be.</p>` : monthTable(archive.months)}
${archive.isCut ? html`<p class="muted">Earlier ones are not listed: <code>orgtrail archive list</code> has all of them.</p>` : null}</section>
${commandsPanel}
</div>`;

const statePanel = ({
  configured,
  ...archive
}: ShownArchive): Html => html`<section class="panel" aria-labelledby="state"><h2 id="state">${configured === undefined ? 'No archive configured' : 'Archive in use'}</h2><div class="stack">
${configured === undefined ? html`<p>This process has no <code>ORGTRAIL_ARCHIVE</code>: it archives nothing. With it, closed months go to object storage as Parquet, and are read back and compared before <code>ORGTRAIL_RETENTION</code> drops them; docs/archive.md has all of it.</p>` : html`<p><code>${configured}</code></p>`}
${useOf(configured, archive)}</div></section>`;

/** The database decides what may be dropped, whatever a process is set to. */
const useOf = (
  configured: string | undefined,
  { inUse, retentionMs }: Omit<ShownArchive, 'configured'>,
): Html | null => {
  if (inUse === undefined) {
    return configured === undefined
      ? html`<p>The database has none in use either${keepsAll(retentionMs) ? '' : ': months that are old enough are dropped without one'}.</p>`
      : html`<p class="fault">The database does not have it in use: <code>orgtrail archive run</code>, or the start of a daemon, changes that.</p>`;
  }
  if (inUse === configured) return html`<p>No month is dropped by any process before it is there.</p>`;
  return html`<p class="fault">The database has another one in use: <code>${inUse}</code>. No month is dropped by any process before it is there. The owner of the schema ends that with <code>orgtrail archive end</code>.</p>`;
};

const faultsPanel = (
  faults: readonly ArchiveFault[],
): Html => html`<section class="panel" aria-labelledby="faults"><h2 id="faults">${countOf(faults.length, 'object')} with a fault</h2>
<p class="hint">What was wrong when the object was last read. Before a drop it is written again; after it, an earlier version in the bucket or a copy of it is all that is left. 100 are listed at most.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Table of faults"><table class="sinks">
<thead><tr><th scope="col">Month</th><th scope="col">Object</th><th scope="col">Fault</th></tr></thead>
<tbody>${faults.map(
  ({ month, archive, key, fault, isDropped }) =>
    html`<tr><th scope="row">${month}<p class="sub">${isDropped ? 'in the archive alone' : 'in the database as well'}</p></th><td>${key}<p class="sub">${archive}</p></td><td class="error-text">${fault}</td></tr>`,
)}</tbody></table></div></section>`;

const keepsAll = (retentionMs: number): boolean => retentionMs === Number.POSITIVE_INFINITY;

const duePanel = (archive: ShownArchive): Html => {
  const { configured, retentionMs, months, nextDueAt, nextDueMonth } = archive;
  const due = months.filter(({ isOld }) => isOld);
  return html`<section class="panel" aria-labelledby="due"><h2 id="due">Due next</h2><div class="stack">
${
  keepsAll(retentionMs)
    ? html`<p>Nothing: without <code>ORGTRAIL_RETENTION</code> everything stays in the database.${configured === undefined ? null : html` Closed months are archived nevertheless, as <code>ORGTRAIL_ARCHIVE_AFTER</code> says.`}</p>`
    : html`<p>Months leave the database ${formatDuration(retentionMs)} after they ended (<code>ORGTRAIL_RETENTION</code>). A daemon looks once a day, and again ten minutes after it failed.</p>
<p>${due.length === 0 ? 'No month is old enough now.' : html`<strong>${countOf(due.length, 'month')}</strong> old enough and still in the database: ${due.map(({ month }) => month).join(', ')}.`}
${nextDueAt === null ? null : html`${nextDueMonth} is old enough from ${timeOf(nextDueAt)} (${zoneLabel()}) on.`}</p>`
}
<p class="muted">Beside a hold, a sink, a dead letter or the evidence may still need a month. The log of the daemon says why it keeps one, and why an attempt failed: that is not stored. <code>orgtrail_archive_failures_total</code> counts such attempts.</p></div></section>`;
};

const thawPanel = (
  thaws: readonly Thaw[],
): Html => html`<section class="panel" aria-labelledby="thaws"><h2 id="thaws">Back for a while</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Table of thaws"><table class="sinks">
<thead><tr><th scope="col">Month</th><th scope="col">State</th><th scope="col" class="number">Events</th><th scope="col">Until (${zoneLabel()})</th><th scope="col">Asked by</th><th scope="col">Reason</th><th scope="col">Change</th></tr></thead>
<tbody>${thaws.map(
  (thaw) =>
    html`<tr><th scope="row">${thaw.month}</th><td>${thaw.state === 'asked' ? html`${Math.floor((100 * thaw.copied) / thaw.events)} % copied` : thaw.state}${thaw.error === null ? null : html`<p class="sub error-text">${thaw.error}</p>`}</td>
<td class="number">${countText(thaw.events)}</td><td>${timeOf(thaw.endsAt)}</td><td>${thaw.askedBy ?? thaw.askedAs}</td><td>${thaw.reason ?? ''}</td>
<td>${thaw.state === 'failed' ? thawForm(thaw.month, '7d', 'Thaw again') : thawForm(thaw.month, '0s', 'End')}</td></tr>`,
)}</tbody></table></div></section>`;

const thawForm = (month: string, wanted: string, says: string): Html =>
  html`<form method="post" action="/archive/thaw"><input type="hidden" name="month" value="${month}"><input type="hidden" name="for" value="${wanted}"><button class="quiet-button" type="submit" aria-label="${says}: ${month}">${says}</button></form>`;

const monthTable = (
  months: readonly ArchivedMonth[],
): Html => html`<div class="scroll" tabindex="0" role="region" aria-label="Table of months"><table class="sinks">
<thead><tr><th scope="col">Month</th><th scope="col" class="number">Objects</th><th scope="col" class="number">Events</th><th scope="col" class="number">Bytes</th>
<th scope="col">Read back (${zoneLabel()})</th><th scope="col">Dropped (${zoneLabel()})</th><th scope="col">Holds of its time</th></tr></thead>
<tbody>${months.map(monthRow)}</tbody></table></div>`;

const monthRow = (
  month: ArchivedMonth,
): Html => html`<tr><th scope="row">${month.month}<p class="sub">${stateOf(month)}</p>${month.isStored || month.objects === 0 ? null : thawForm(month.month, '7d', 'Thaw for 7 days')}</th>
<td class="number">${countText(month.objects)}${month.faulty === 0 ? null : html`<p class="sub"><a href="#faults">${month.faulty} with a fault</a></p>`}</td>
<td class="number">${countText(month.events)}${month.changes === 0 ? null : html`<p class="sub">${countOf(month.changes, 'later content')}</p>`}</td>
<td class="number">${countText(month.bytes)}</td>
<td>${provenOf(month)}</td><td>${droppedOf(month)}</td>
<td>${month.holds.length === 0 ? html`<span class="muted">none</span>` : month.holds.map(({ id, reason }) => html`<p><a href="/holds">hold ${id}</a>: ${reason}</p>`)}</td></tr>`;

const stateOf = ({ isStored, isOld, objects }: ArchivedMonth): string => {
  if (!isStored) return objects === 0 ? 'dropped without an archive' : 'in the archive alone';
  if (objects === 0) return 'old enough, not archived yet';
  return isOld ? 'old enough, in both' : 'in both';
};

const provenOf = ({ objects, provenAt }: ArchivedMonth): Html => {
  if (objects === 0) return html`<span class="muted">never</span>`;
  return provenAt === null ? html`<span class="muted">to be read again before the drop</span>` : timeOf(provenAt);
};

const droppedOf = ({ droppedAt, droppedEvents }: ArchivedMonth): Html => {
  if (droppedAt === null) return html`<span class="muted">no</span>`;
  return html`${timeOf(droppedAt)}${droppedEvents === null ? null : html`<p class="sub">${countOf(droppedEvents, 'event')}</p>`}`;
};

const commandsPanel = html`<section class="panel" aria-labelledby="change"><h2 id="change">Commands</h2><div class="stack">
<p>With the settings of the daemon. This page asks the database alone: what an object is now, <code>verify</code> says.</p>
${commandBlock('command-run', 'the command that archives what is old enough', 'orgtrail archive run')}
${commandBlock('command-list', 'the command that lists every object', 'orgtrail archive list')}
${commandBlock('command-verify', 'the command that reads everything back', 'orgtrail archive verify --contents')}
${commandBlock('command-restore', 'the command that prints the events of a month', 'orgtrail archive restore 2024-01 > january.ndjson')}</div></section>`;

/** `/holds`: what retention keeps on purpose. */
export const holdPages = (pages: FastifyInstance, frame: Frame, operations: Operations): void => {
  pages.get('/holds', { schema: hidden }, async (request, reply) => {
    const body = holdsBody(await readHolds(operations.pool));
    return sendPage(request, reply, frame, { title: 'Legal holds', current: OPERATIONS_PATH, body });
  });
};

const holdsBody = (holds: readonly Hold[]): Html => {
  const inForce = holds.filter(({ releasedAt }) => releasedAt === null);
  const released = holds.filter(({ releasedAt }) => releasedAt !== null);
  return html`<div class="stack">
${operationsHead('/holds', 'Legal holds')}
<section class="panel" aria-labelledby="in-force"><h2 id="in-force">${countOf(inForce.length, 'hold')} in force</h2>
${inForce.length === 0 ? html`<p class="empty">None: retention drops months as soon as they are old enough.</p>` : holdTable(inForce, 'Table of holds in force')}</section>
${released.length === 0 ? null : html`<section class="panel" aria-labelledby="released"><h2 id="released">Released</h2>${holdTable(released, 'Table of released holds')}</section>`}
<section class="panel" aria-labelledby="change"><h2 id="change">To add and to release one</h2><div class="stack">
<p>Holds are changed by commands, with an account that owns the schema: the account of the daemon can neither add one nor release one. Each command is a row <code>hold</code> in the trail of access.</p>
<pre class="text" tabindex="0" role="region" aria-label="Commands">orgtrail hold add --organization ID --since 2026-01-01 --before 2026-04-01 --reason 'case 4711' --by jane.doe
orgtrail hold release ID --by jane.doe</pre></div></section>
</div>`;
};

const holdTable = (
  holds: readonly Hold[],
  name: string,
): Html => html`<div class="scroll" tabindex="0" role="region" aria-label="${name}"><table class="sinks">
<thead><tr><th scope="col">Hold</th><th scope="col">Keeps events of</th><th scope="col">From</th><th scope="col">Until</th><th scope="col">Reason</th><th scope="col">Added by</th></tr></thead>
<tbody>${[...holds].reverse().map(holdRow)}</tbody></table></div>`;

const holdRow = (hold: Hold): Html => html`<tr><th scope="row">${hold.id}</th><td>${keptOf(hold)}</td>
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
