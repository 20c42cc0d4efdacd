import { MAX_NAME_LENGTH } from '../../../search/saved/saved-search.ts';
import { printSearch, type Search } from '../../../search/search.ts';
import { type Html, html } from '../html.ts';

interface SaveView {
  /** The parameters of its link. */
  readonly search: string;
  /** What was written as its name. */
  readonly given?: string | undefined;
  /** A predicate to the name. */
  readonly fault?: string | undefined;
}

/** Above a result. Open or closed without a script. */
export const saveThis = (
  search: Search,
): Html => html`<details class="copy-as" id="save-search"><summary>Save this search</summary>
${saveForm({ search: printSearch(search).toString() })}</details>`;

/** After a name that cannot be. */
export const saveBody = (view: SaveView): Html => html`<div class="stack">
<p class="crumbs"><a href="/events${view.search === '' ? '' : `?${view.search}`}">Events</a></p>
<h1>Save this search</h1>
<div class="panel">${saveForm(view)}</div>
</div>`;

const saveForm = (view: SaveView): Html => html`<form class="stack save" method="post" action="/searches">
<input type="hidden" name="search" value="${view.search}">
${nameField('save-name', view)}
<p class="hint" id="save-hint">All who may sign in see it. Relative times, such as 24h, stay relative.</p>
<p><button class="primary" type="submit">Save</button></p>
</form>`;

/** The field of a name, with what is wrong with it. */
export const nameField = (id: string, { given = '', fault }: Pick<SaveView, 'given' | 'fault'>): Html =>
  html`<div class="field"><label for="${id}">Name</label>
<input id="${id}" name="name" type="text" value="${given}" required maxlength="${2 * MAX_NAME_LENGTH}" autocomplete="off"${fault === undefined ? null : html` autofocus aria-invalid="true" aria-describedby="${id}-fault"`}>
${fault === undefined ? null : html`<p class="fault" role="alert" id="${id}-fault">The name ${fault}.</p>`}</div>`;
