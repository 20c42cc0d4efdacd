import { type Html, html } from './html.ts';

/** What each key does, in the order of the list. The scripts of the console have them. */
const keys: readonly (readonly [keys: readonly string[], does: string])[] = [
  [['/'], 'go to the text of the search'],
  [['Ctrl+K', '⌘K'], 'go to the search of the page'],
  [['j', '↓'], 'next row, and the event beside the list'],
  [['k', '↑'], 'row before, and the event beside the list'],
  [['Enter'], 'open the event of the row; again: go into it'],
  [['Esc'], 'close the event beside the list, or this'],
  [['l'], 'start or pause the live list'],
  [['?'], 'show this list'],
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
