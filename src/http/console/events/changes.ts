import { exactText } from '../../../ingest/entries/entry.ts';
import type { EventDetail } from '../../../search/answer.ts';
import { type DiffLine, differenceLines, layOut } from '../../../search/json-difference.ts';
import { type Html, html } from '../html.ts';
import { instantOf } from '../words.ts';

const MAX_ROWS = 500;
const MAX_LINE_CHARACTERS = 1_000;
const SHOWN_CHARACTERS = 20_000;

/** Compared until `deadlineMs`, a time of `performance.now()`. */
export const sideBySide = (
  before: string,
  after: string,
  { names, deadlineMs }: { readonly names: readonly [string, string]; readonly deadlineMs: number },
): Html => {
  const lines = differenceLines(layOut(before), layOut(after), deadlineMs);
  if (lines === undefined) {
    return html`<p class="muted">Too large or too different to compare here. The later state:</p>${stateText(after)}`;
  }
  if (lines.length === 0) return html`<p class="muted">Nothing changed: the state is the same as before.</p>`;
  const rows = rowsOf(lines);
  return html`<div class="diff side-by-side" tabindex="0" role="region" aria-label="Differences"><table>
<thead><tr><th scope="col">${names[0]}</th><th scope="col">${names[1]}</th></tr></thead>
<tbody>${rows.slice(0, MAX_ROWS).map(rowOf)}</tbody></table></div>
${rows.length > MAX_ROWS ? html`<p class="muted">${rows.length - MAX_ROWS} more lines.</p>` : null}`;
};

export const stateText = (text: string): Html => {
  const shown = layOut(text).trimEnd();
  return html`<pre class="text" tabindex="0" role="region" aria-label="State">${shown.slice(0, SHOWN_CHARACTERS).toWellFormed()}${shown.length > SHOWN_CHARACTERS ? '…' : ''}</pre>`;
};

interface Row {
  readonly left: DiffLine | undefined;
  readonly right: DiffLine | undefined;
}

const rowsOf = (lines: readonly DiffLine[]): readonly Row[] => {
  const rows: Row[] = [];
  let removed: DiffLine[] = [];
  const flush = () => {
    for (const left of removed) rows.push({ left, right: undefined });
    removed = [];
  };
  for (const line of lines) {
    if (line.kind === 'removed') removed.push(line);
    else if (line.kind === 'added') rows.push({ left: removed.shift(), right: line });
    else {
      flush();
      rows.push({ left: line, right: line });
    }
  }
  flush();
  return rows;
};

const rowOf = ({ left, right }: Row): Html =>
  left?.kind === 'left-out'
    ? html`<tr class="line-left-out"><td colspan="2">${left.text}</td></tr>`
    : html`<tr>${cellOf(left)}${cellOf(right)}</tr>`;

const words = { same: '', added: 'added', removed: 'removed', 'left-out': '' } as const;

const cellOf = (line: DiffLine | undefined): Html =>
  line === undefined
    ? html`<td class="line-none"></td>`
    : html`<td class="line-${line.kind}"><span class="unseen">${words[line.kind]}</span><code>${line.text.length > MAX_LINE_CHARACTERS ? `${line.text.slice(0, MAX_LINE_CHARACTERS).toWellFormed()}…` : line.text}</code></td>`;

/** For all changes of a page: nothing else happens in the process meanwhile. */
const TIMEOUT_MS = 400;
const MAX_LINES = 1_500;

/** Each content compared with the one before it. */
export const changesOf = (detail: EventDetail): Html | null => {
  const { event, rawText, changes, changesInAll } = detail;
  if (changes.length === 0) return null;
  const deadlineMs = performance.now() + TIMEOUT_MS;
  let before = layOut(exactText(rawText, event.defects));
  return html`<section class="panel later-contents" id="changes"><h2>Changed later</h2>
<p class="hint">Cloudflare sent this id again with other content. The first version stays the event; later ones are kept beside it.</p>
${changes.map((change, n) => {
  const after = layOut(laterText(change.rawText));
  const difference = differenceOf(before, after, deadlineMs);
  before = after;
  return html`<h3>Content ${n + 2}, seen ${instantOf(change.seenAt)}</h3>${difference}`;
})}
${changesInAll > changes.length ? html`<p class="muted">${changesInAll - changes.length} more are in the table audit_event_changes.</p>` : null}
</section>`;
};

/** A content that PostgreSQL cannot hold is stored as a JSON string that holds it. */
const laterText = (rawText: string): string => {
  if (!rawText.startsWith('"')) return rawText;
  try {
    const held = JSON.parse(rawText) as string;
    JSON.parse(held);
    return held;
  } catch {
    return rawText;
  }
};

const differenceOf = (before: string, after: string, deadlineMs: number): Html => {
  const lines = differenceLines(before, after, deadlineMs);
  if (lines === undefined) {
    return html`<p class="muted">Too large or too different to compare here. The later content:</p>
<pre class="text" tabindex="0" role="region" aria-label="The later content">${after.slice(0, SHOWN_CHARACTERS).toWellFormed()}${after.length > SHOWN_CHARACTERS ? '…' : ''}</pre>`;
  }
  if (lines.length === 0) return html`<p class="muted">They differ only in white space.</p>`;
  const shown = lines.slice(0, MAX_LINES);
  return html`<div class="diff" tabindex="0" role="region" aria-label="Differences"><table><tbody>${shown.map(lineOf)}</tbody></table></div>
${lines.length > MAX_LINES ? html`<p class="muted">${lines.length - MAX_LINES} more lines.</p>` : null}`;
};

const signs = { same: ' ', added: '+', removed: '−', 'left-out': '⋯' } as const;

const lineOf = ({ kind, text }: DiffLine): Html =>
  html`<tr class="line-${kind}"><td class="sign"><span aria-hidden="true">${signs[kind]}</span><span class="unseen">${words[kind]}</span></td><td><code>${text.length > MAX_LINE_CHARACTERS ? `${text.slice(0, MAX_LINE_CHARACTERS).toWellFormed()}…` : text}</code></td></tr>`;
