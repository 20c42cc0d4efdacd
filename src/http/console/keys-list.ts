import { type Html, html } from './html.ts';

/** What each key does, in the order of the list. The scripts of the console have them. */
const keys: readonly (readonly [keys: readonly string[], does: string])[] = [
  [['/'], 'go to the text of the search, or to the filter of organizations'],
  [['Ctrl+K', '⌘K'], 'the same, also while you write'],
  [['j', 'k'], 'events: next row, row before; the event beside the list goes with it'],
  [['↓', '↑'], 'the same, once the focus is in the list'],
  [['Enter'], 'open the event of the row; again: go into the event beside the list'],
  [['Esc'], 'close the event beside the list, or this list'],
  [['l'], 'start or pause the live list of a search'],
  [['?'], 'show this list, on every page'],
];

/** Opened by the script alone: without it there are no keys but those of the browser. */
export const keysList: Html = html`<dialog id="keys" class="keys-list" aria-labelledby="keys-title">
<h2 id="keys-title">Keys</h2>
<dl>${keys.map(
  ([names, does]) => html`<div><dt>${names.map((name) => html`<kbd>${name}</kbd> `)}</dt><dd>${does}</dd></div>`,
)}</dl>
<form method="dialog"><button class="quiet-button" type="submit">Close</button></form>
</dialog>`;

/** In the foot of a page. */
export const keysButton: Html = html`<button class="quiet-button" type="button" data-keys aria-haspopup="dialog" hidden>Keys <kbd>?</kbd></button>`;
