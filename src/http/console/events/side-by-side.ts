import { type Html, html } from '../html.ts';
import { type DiffLine, differenceLines, layOut } from './difference.ts';

const MAX_ROWS = 500;
const MAX_LINE_CHARACTERS = 1_000;
const SHOWN_CHARACTERS = 20_000;

/**
 * What two JSON texts differ in, the earlier one at the left. `names` are the heads of the columns. `deadlineMs` is a time of
 * `performance.now()` until which they may be compared.
 */
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

/** A state without one to compare it with. */
export const stateText = (text: string): Html => {
  const shown = layOut(text).trimEnd();
  return html`<pre class="text" tabindex="0" role="region" aria-label="State">${shown.slice(0, SHOWN_CHARACTERS).toWellFormed()}${shown.length > SHOWN_CHARACTERS ? '…' : ''}</pre>`;
};

interface Row {
  readonly left: DiffLine | undefined;
  readonly right: DiffLine | undefined;
}

/** What was removed stands beside what was added in its place. */
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
