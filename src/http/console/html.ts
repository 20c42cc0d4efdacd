import { html as honoHtml } from 'hono/html';
import type { HtmlEscapedString } from 'hono/utils/html';

/** Markup that is safe to send. Only `html` makes it. */
export type Html = HtmlEscapedString;

type Part = Html | string | number | boolean | null | undefined | readonly Part[];

/** Controls, bidi marks and zero-width characters: what would show another text than there is. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is made visible
const deceptive = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u200b-\u200d\u2060\ufeff\p{Bidi_Control}]/gu;

/** As JSON escapes. `html` does so with every value; for text that goes elsewhere. */
export const visible = (text: string): string =>
  text.replace(deceptive, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);

const prepared = (part: Part): unknown => {
  if (typeof part === 'string') return visible(part);
  return Array.isArray(part) ? part.map(prepared) : part;
};

/**
 * A template of markup: every value is text, escaped and with deceptive characters made visible, unless `html` made it. Lists are joined;
 * false, null and undefined are nothing. Attributes stand in double quotes, always.
 */
export const html = (strings: TemplateStringsArray, ...parts: readonly Part[]): Html =>
  // Never a promise: no part is one.
  honoHtml(strings, ...parts.map(prepared)) as Html;

/** `id` is unique on its page; `what` names the command for a screen reader. */
export const commandBlock = (id: string, what: string, text: string): Html =>
  html`<div><pre class="text" id="${id}" tabindex="0" role="region" aria-label="${what}">${text}</pre>
<p><button class="quiet-button" type="button" data-copy-text="${id}" hidden>Copy<span class="unseen"> ${what}</span></button></p></div>`;
