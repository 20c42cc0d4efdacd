import { type Html, html } from '../html.ts';

/** A command of the terminal with a button that copies it. `id` is unique on its page; `what` names it for a screen reader. */
export const commandBlock = (id: string, what: string, text: string): Html =>
  html`<div><pre class="text" id="${id}" tabindex="0" role="region" aria-label="${what}">${text}</pre>
<p><button class="quiet-button" type="button" data-copy-text="${id}" hidden>Copy<span class="unseen"> ${what}</span></button></p></div>`;
