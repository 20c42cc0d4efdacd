import { parseInstantMs } from '../../../base/time.ts';
import type { EvidenceStatus } from '../../../evidence/stored/evidence-status.sql.ts';
import { type Defect, exactText } from '../../../ingest/entries/entry.ts';
import type { EventCopy, EventDetail, FoundEvent } from '../../../search/answer.ts';
import type { EntityKind } from '../../../search/entities.ts';
import { prettyJson } from '../../../search/json-difference.ts';
import { printCursor, printSearch, type Search } from '../../../search/query/search.ts';
import type { EventMarks } from '../detections/page.ts';
import { actorOf, effectOf, entityHref, linkOf, resourceOf, resultMark, timeOf, withinTime } from '../event-links.ts';
import { proofPanel } from '../evidence.routes.ts';
import { type Html, html } from '../html.ts';
import { countText, exactInstantOf } from '../words.ts';
import { changesOf } from './changes.ts';
import { eventHref, resultLink, type SearchSteps, searchStepsOf, stepsFault } from './search-steps.ts';

interface EventView {
  readonly whole: boolean;
  readonly nowMs: number;
  /** Undefined without a log. */
  readonly evidence: EvidenceStatus | undefined;
  readonly marks: EventMarks;
  readonly steps: SearchSteps | undefined;
}

const SHOWN_CHARACTERS = 40_000;
/** On demand: a text is several times larger in a page, and browsers show no more in reasonable time. */
const MOST_CHARACTERS = 2_000_000;
const SHOWN_VALUE = 2_000;

export const eventBody = (detail: EventDetail, view: EventView): Html => {
  const { event } = detail;
  return html`<div class="stack event">
${headOf(detail, view)}
${event.defects === null ? null : defectsOf(event.defects)}
<div class="grid-3 facts">${groupsOf(detail).map((group) => groupOf(group, view.steps?.kind === 'steps' && group.name === 'Stored' ? storedSteps(detail) : null))}</div>
${copiesOf(detail)}
${changesOf(detail)}
${proofPanel(event, view.evidence, view.nowMs)}
${originalOf(detail, view)}
</div>`;
};

const headOf = (detail: EventDetail, { nowMs, marks, steps }: EventView): Html => {
  const { event } = detail;
  const kind = [event.actionType, resourceOf(event)?.text].filter((part) => part !== null && part !== undefined);
  const title = event.actionDescription ?? kind.join(' ');
  return html`<div class="row between"><p class="trail">${resultLink(steps)} <span class="muted">/ ${event.position}</span></p>
${searchStepsOf(steps) ?? storedSteps(detail)}</div>
${stepsFault(steps)}
<header class="event-head"><h1>${title === '' ? `Event ${event.position}` : cutValue(title)}</h1>
<p class="row">${event.actionResult === null ? null : resultMark(event)}${event.changed ? html`<a class="mark mark-changed" href="#changes">changed later</a>` : null}${event.defects === null ? null : html`<span class="mark mark-defect">defect</span>`}${marks.of(event.position).map((mark) => html` ${mark}`)}
<span class="mono">${timeOf(event, nowMs)}</span><span>${event.organizationName ?? event.organizationId ?? event.accountName ?? event.accountId}</span></p>
${event.actionDescription === null ? null : html`<p class="muted">${cutValue(kind.join(' · '))}</p>`}
${aroundOf(event)}</header>`;
};

const storedSteps = ({ previousPosition, nextPosition }: EventDetail): Html => {
  const step = (position: number | null, name: string, rel: string): Html =>
    position === null
      ? html`<span class="muted">${name}</span>`
      : html`<a class="quiet-button" rel="${rel}" href="/events/${position}">${name}</a>`;
  return html`<nav class="row" aria-label="Neighbours in the feed">${step(previousPosition, '← Previous stored', 'prev')}${step(nextPosition, 'Next stored →', 'next')}</nav>`;
};

/** Searches, which cost nothing here. */
const aroundOf = (event: FoundEvent): Html => {
  const actor = actorOf(event);
  const same: readonly (readonly [string, Partial<Search> | undefined])[] = [
    ['Same actor', actor && { actor: actor.filter }],
    ['Same resource', event.resourceId === null ? resourceOf(event)?.filter : { resource: event.resourceId }],
    ['Same organization', event.organizationId === null ? undefined : { organization: event.organizationId }],
    ['Same account', event.accountId === null ? undefined : { account: event.accountId }],
  ];
  return html`<ul class="around">${same.flatMap(([name, filter]) =>
    filter === undefined
      ? []
      : [
          html`<li><span class="muted">${name}</span> ${searchLink(filter, 'all')} ${searchLink(filter, 'earlier', event, 'older')} ${searchLink(filter, 'later', event, 'newer')}</li>`,
        ],
  )}${nearbyOf(event)}${entitiesOf(event)}<li><span class="muted">What changed</span> <a href="/events/${event.position}/history">history of this resource</a></li></ul>`;
};

const NEARBY_MINUTES = 15;

const nearbyOf = (event: FoundEvent): Html | null => {
  const timeMs = event.actionTime === null ? undefined : parseInstantMs(event.actionTime);
  if (timeMs === undefined) return null;
  const spanMs = NEARBY_MINUTES * 60_000;
  const link = (filter: Partial<Search> | false | undefined, text: string): Html | null =>
    filter
      ? html` <a href="${linkOf(withinTime({ defects: false, changed: false, ...filter }, timeMs - spanMs, timeMs + spanMs))}">${text}</a>`
      : null;
  const actor = actorOf(event);
  return html`<li><span class="muted">Around this event, ${NEARBY_MINUTES} minutes each way</span>${link(event.accountId === null ? event.organizationId !== null && { organization: event.organizationId } : { account: event.accountId }, event.accountId === null ? 'same organization' : 'same account')}${link(actor && { actor: actor.filter }, 'same actor')}</li>`;
};

const entitiesOf = (event: FoundEvent): readonly Html[] => {
  const actor = event.actorEmail ?? event.actorId;
  const all: readonly (readonly [EntityKind, string, string | null])[] = [
    ['actors', 'actor', actor],
    ['addresses', 'address', event.actorIpAddress],
    ['tokens', 'token', event.actorTokenName ?? event.actorTokenId],
    ['resources', 'resource', event.resourceId],
  ];
  const links = all.flatMap(([kind, name, value]) =>
    value === null || value === '' ? [] : [html`<a href="${entityHref(kind, value)}">${name}</a> `],
  );
  return links.length === 0 ? [] : [html`<li><span class="muted">About the</span> ${links}</li>`];
};

const searchLink = (
  filter: Partial<Search>,
  text: string,
  beside?: FoundEvent,
  direction: 'older' | 'newer' = 'older',
): Html => {
  const parameters = printSearch({ defects: false, changed: false, ...filter });
  if (beside !== undefined) {
    parameters.set('cursor', printCursor({ direction, time: beside.sortTime, position: beside.position }));
  }
  return html`<a href="/events?${parameters.toString()}">${text}</a>`;
};

const defectsOf = (
  defects: readonly string[],
): Html => html`<section class="panel defects"><h2>This entry could not be read in full</h2>
<ul>${defects.map((defect) => html`<li><code>${defect}</code> ${defectInWords(defect)}</li>`)}</ul>
<p class="hint">Nothing is lost: the original below is exact. Columns that could not be filled are empty.</p></section>`;

const ofEffect = ({ effects }: FoundEvent): Partial<Search> => ({
  terms: [{ field: 'effect', isNegated: false, values: [effects?.[0] ?? ''] }],
});

const ofPlace = (field: 'country' | 'network', value: string | null | undefined): Partial<Search> => ({
  terms: [{ field, isNegated: false, values: [value ?? ''] }],
});

type Fact = readonly [name: string, value: string | number | null, filter?: Partial<Search>];

interface Group {
  readonly name: string;
  readonly facts: readonly Fact[];
}

const groupsOf = ({ event, feedId, place }: EventDetail): readonly Group[] => {
  const by = (kind: 'email' | 'ip' | 'id' | 'token', value: string | null): Partial<Search> =>
    value === null ? {} : { actor: { kind, value } };
  const effect = effectOf(event);
  const exact = (name: keyof Search, value: string | null) => (value === null ? {} : { [name]: value });
  return [
    {
      name: 'Who',
      facts: [
        ['E-mail', event.actorEmail, by('email', event.actorEmail)],
        ['Id', event.actorId, by('id', event.actorId)],
        ['Type', event.actorType],
        ['Context', event.actorContext],
        ['Token', event.actorTokenName],
        ['Token id', event.actorTokenId, by('token', event.actorTokenId)],
      ],
    },
    {
      name: 'What',
      facts: [
        ['Action', event.actionType, exact('action', event.actionType)],
        ['Effect', effect === undefined ? null : `${effect}, derived from the lists of the batch`, ofEffect(event)],
        ['Result', event.actionResult, exact('result', event.actionResult)],
        ['Description', event.actionDescription],
        ['Time', event.actionTime ?? event.sortTime],
      ],
    },
    {
      name: 'On what',
      facts: [
        ['Organization', event.organizationName],
        ['Organization id', event.organizationId, exact('organization', event.organizationId)],
        ['Account', event.accountName],
        ['Account id', event.accountId, exact('account', event.accountId)],
        ['Zone', event.zoneName, exact('zone', event.zoneName)],
        ['Zone id', event.zoneId, exact('zone', event.zoneId)],
        ['Product', event.resourceProduct, exact('product', event.resourceProduct)],
        ['Type', event.resourceType, exact('resourceType', event.resourceType)],
        ['Id', event.resourceId, exact('resource', event.resourceId)],
        ['Scope', event.resourceScope],
      ],
    },
    {
      name: 'Source',
      facts: [
        ['IP address', event.actorIpAddress, by('ip', event.actorIpAddress)],
        ['Country', place?.country ?? null, ofPlace('country', place?.country)],
        ['Network owner', place?.network ?? null, ofPlace('network', place?.network)],
        ['Network', place?.asn ?? null, ofPlace('network', place?.asn)],
        ['User agent', event.userAgent],
        ['Ray id', event.rayId, exact('ray', event.rayId)],
      ],
    },
    {
      name: 'Request',
      facts: [
        ['Method', event.method],
        ['URI', event.uri],
        ['Status', event.statusCode],
      ],
    },
    {
      name: 'Stored',
      facts: [
        ['Entry id', event.id],
        ['Received', event.receivedAt],
        ['Feed position', event.position],
        ['Feed', feedId],
        ['Source', `${event.sourceKind} ${event.sourceId}`],
      ],
    },
  ];
};

const groupOf = ({ name, facts }: Group, more: Html | null): Html => {
  const given = facts.filter(([, value]) => value !== null);
  return html`<section class="panel"><h2>${name}</h2>${
    given.length === 0
      ? html`<p class="muted">The entry does not say.</p>`
      : html`<dl>${given.map(
          ([label, value, filter]) =>
            html`<div><dt>${label}</dt><dd>${shownValue(label, value)}${filter === undefined || value === '' ? null : html` ${onlyThis(filter, label)}`}</dd></div>`,
        )}</dl>`
  }${more}</section>`;
};

const onlyThis = (filter: Partial<Search>, label: string): Html =>
  html`<a class="only" href="/events?${printSearch({ defects: false, changed: false, ...filter }).toString()}" title="All events with this">search<span class="unseen"> for this ${label}</span></a>`;

const isId = (label: string): boolean => /\bid$/i.test(label) || label === 'Feed' || label === 'Source';

const shownValue = (label: string, value: string | number | null): Html =>
  html`<span class="${isId(label) ? 'value mono' : 'value'}">${value === '' ? html`<span class="muted">(empty)</span>` : typeof value !== 'string' ? value : isTime(label) ? exactInstantOf(value) : isAddress(label, value) ? html`<span class="address">${value}</span>` : cutValue(value)}</span>`;

const isTime = (label: string): boolean => label === 'Time' || label === 'Received';

/** Short enough for one line of a narrow screen. */
const isAddress = (label: string, value: string): boolean =>
  label === 'IP address' ? value.length <= 39 : label === 'E-mail' && value.length <= 34;

const cutValue = (text: string): string =>
  text.length > SHOWN_VALUE
    ? `${text.slice(0, SHOWN_VALUE).toWellFormed()}… (${text.length} characters, whole in the original)`
    : text;

const originalOf = ({ event, rawText }: EventDetail, { whole, steps }: EventView): Html => {
  const wholeHref = whole ? undefined : `${eventHref(event.position, steps?.search, { whole: 'true' })}#original`;
  const exact = exactText(rawText, event.defects);
  const entry = new URLSearchParams({ kind: event.sourceKind, source: event.sourceId, id: event.id });
  return html`<section class="panel original" id="original"><div class="row between"><h2>Original entry</h2>
<p class="row"><button class="quiet-button" type="button" data-copy="/events/${event.position}/original" hidden>Copy raw</button>
<a class="quiet-button" href="/events/${event.position}/original" download>Download</a>
<a class="quiet-button" href="/events/entry?${entry.toString()}" title="By the entry's own id: the same in another database">Permanent link</a></p></div>
<p class="hint">Exactly as received from Cloudflare (${Buffer.byteLength(exact)} bytes). Formatted for display; Copy and Download give the original bytes. Misleading characters are shown as escapes.</p>
${textBox(prettyJson(exact), wholeHref, 'Original entry, formatted')}
<details id="as-is"><summary>Raw bytes</summary>${textBox(exact, wholeHref, 'Original entry, raw')}</details>
</section>`;
};

/** `wholeHref`: where all of it is shown; undefined: here. */
const textBox = (text: string, wholeHref: string | undefined, name: string): Html => {
  const most = wholeHref === undefined ? MOST_CHARACTERS : SHOWN_CHARACTERS;
  const isCut = text.length > most;
  const shown = isCut ? text.slice(0, most).toWellFormed() : text;
  return html`<pre class="text" tabindex="0" role="region" aria-label="${name}">${wholeHref === undefined ? shown : withKeys(shown)}</pre>
${isCut ? html`<p class="cut">${most} of ${text.length} characters. ${wholeHref === undefined ? 'The download has all of them.' : html`<a href="${wholeHref}">Show all</a>`}</p>` : null}`;
};

/** Names in another colour. Not for large texts: each is an element of its own. */
const withKeys = (text: string): readonly (Html | string)[] =>
  text
    .split(/^( *"(?:[^"\\]|\\.)*"(?=: ))/m)
    .map((part, n) => (n % 2 === 1 ? html`<span class="json-name">${part}</span>` : part));

/** Null for an event without copies. */
const copiesOf = ({ event, copies, copiesInAll, copyNumber }: EventDetail): Html | null => {
  const [first] = copies;
  if (first === undefined) return null;
  const others = copies.filter(({ position }) => position !== event.position);
  const beyond = copiesInAll - 1 - others.length;
  return html`<section class="panel copies" id="copies"><h2>${
    copyNumber === 1
      ? `First of ${countText(copiesInAll)} copies`
      : html`A copy of <a href="/events/${first.position}">event ${first.position}</a>`
  }</h2>
<p class="hint">This entry is about a user, and stands in the log of every account that the user may use. ${
    copyNumber === 1 ? null : html`This is copy ${countText(copyNumber)} of ${countText(copiesInAll)}. `
  }A search, a feed or a sink with <code>copies=first</code> gives it once.</p>
<ul>${others.map(copyLink)}${beyond === 0 ? null : html`<li class="muted">and ${countText(beyond)} more</li>`}</ul></section>`;
};

const copyLink = ({ position, accountId, accountName }: EventCopy): Html =>
  html`<li><a href="/events/${position}">${accountName ?? accountId}</a> <span class="muted">${position}</span></li>`;

const words: Readonly<Record<Defect, string>> = {
  not_an_object: 'The entry is not a JSON object, so none of its columns can be filled.',
  id_missing: 'It has no id. A hash of its content stands for it.',
  id_unusable:
    'Its id is not a text that can be stored, or looks like one of our hashes. A hash of its content is used as the id.',
  id_too_long: 'Its id is too long for an index. A hash of the id stands for it.',
  column_too_long: 'A value is too long for an index. The column has its beginning; the raw entry has all of it.',
  time_missing: 'It has no time. It sorts before everything else and is found by searches without a beginning.',
  time_unreadable:
    'Its time cannot be read (RFC 3339). It sorts before everything else and is found by searches without a beginning.',
  nul_character: 'A text in it holds the character NUL, which columns show as U+FFFD.',
  lone_surrogate: 'A text in it holds half of a surrogate pair, which columns show as U+FFFD.',
  number_out_of_range: 'A number in it is too large, too small or too long for a database.',
  nested_too_deeply: 'It is nested more deeply than a database can parse; it is kept as text.',
  invalid_utf8: 'It holds bytes that are no UTF-8; U+FFFD stands for them.',
  refused_by_database: 'PostgreSQL does not take it as JSON; it is kept as text.',
};

/** Empty for a name that a later version has added. */
const defectInWords = (defect: string): string => words[defect as Defect] ?? '';
