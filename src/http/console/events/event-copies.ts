import type { EventCopy, EventDetail } from '../../../search/found-event.ts';
import { type Html, html } from '../html.ts';
import { countText } from '../words.ts';

/** The same entry in the logs of other accounts, with links in both directions. Null of an event that has no copy. */
export const copiesOf = ({ event, copies, copiesInAll, copyNumber }: EventDetail): Html | null => {
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
