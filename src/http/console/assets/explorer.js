// Keys for the explorer, and copying. Its pages work without.
import { toSearch } from './console.js';

const isTyping = (target) =>
  target instanceof HTMLElement && target.closest('input, textarea, select, [contenteditable]');

const rows = () => [...document.querySelectorAll('[data-row]')];

/** Moves the focus to the row below or above; from nowhere to the first or the last one. */
const move = (step) => {
  const all = rows();
  if (all.length === 0) return false;
  const focused = document.activeElement?.closest('tr')?.querySelector('[data-row]');
  // With the focus elsewhere, from the row whose event stands beside the list.
  const current = all.indexOf(focused ?? document.querySelector('[data-row][aria-current]'));
  const wanted = current < 0 ? (step > 0 ? 0 : all.length - 1) : current + step;
  const row = all[Math.max(0, Math.min(all.length - 1, wanted))];
  row.focus({ preventScroll: true });
  row.closest('tr').scrollIntoView({ block: 'nearest' });
  return true;
};

const steps = { j: 1, k: -1, ArrowDown: 1, ArrowUp: -1 };

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (document.querySelector('dialog[open]') !== null) return;
  if (event.key === '/' && toSearch()) return void event.preventDefault();
  const step = steps[event.key];
  if (step === undefined) return;
  // Arrows scroll, unless one is in the list already.
  if (event.key.startsWith('Arrow') && document.activeElement?.closest('table.events') == null) return;
  if (move(step)) event.preventDefault();
});

/** What a button copies: the text of an element, or the answer of an address. */
const textOf = async ({ copyText, copy }) => {
  if (copyText !== undefined) return document.getElementById(copyText).textContent;
  const response = await fetch(copy, { redirect: 'error' });
  if (!response.ok) throw new Error(response.statusText);
  return await response.text();
};

/** Gives the buttons that copy their work. For what comes into the page later, too. */
export const readyToCopy = (root) => {
  for (const button of root.querySelectorAll('[data-copy], [data-copy-text]')) {
    // Browsers have a clipboard on https and loopback alone; the download always works.
    if (navigator.clipboard === undefined) continue;
    button.hidden = false;
    const name = [...button.childNodes];
    const say = (text) => {
      button.textContent = text;
      setTimeout(() => {
        button.replaceChildren(...name);
      }, 2000);
    };
    button.addEventListener('click', async () => {
      try {
        await navigator.clipboard.writeText(await textOf(button.dataset));
        say('Copied');
      } catch {
        say('Could not copy');
      }
    });
  }
};
readyToCopy(document);

// Top values put away stay away: the server reads it, so that the page does not jump.
const facets = document.querySelector('.filters > .facets');
facets?.addEventListener('toggle', () => {
  // biome-ignore lint/suspicious/noDocumentCookie: cookieStore is there on https and loopback alone
  document.cookie = `orgtrail_facets=${facets.open ? 'open' : 'closed'}; path=/events; max-age=31536000; samesite=strict`;
});

// Completion of the word at the caret of the query line, from what the page knows. Tab takes it, Enter searches.
const line = document.querySelector('[data-fields]');
if (line !== null) {
  const fields = JSON.parse(line.dataset.fields);
  const list = document.createElement('ul');
  list.id = 'complete';
  list.className = 'pop complete';
  list.hidden = true;
  list.setAttribute('role', 'listbox');
  list.setAttribute('aria-label', 'Completion');
  line.parentElement.append(list);
  line.setAttribute('role', 'combobox');
  line.setAttribute('aria-autocomplete', 'list');
  line.setAttribute('aria-controls', list.id);
  line.setAttribute('aria-expanded', 'false');
  const MOST = 8;
  let active = -1;

  const show = (options) => {
    active = -1;
    line.removeAttribute('aria-activedescendant');
    list.replaceChildren(
      ...options.slice(0, MOST).map(({ text, hint }, n) => {
        const option = document.createElement('li');
        option.id = `complete-${n}`;
        option.setAttribute('role', 'option');
        option.setAttribute('aria-selected', 'false');
        option.dataset.text = text;
        const name = document.createElement('code');
        name.textContent = text.trim();
        const words = document.createElement('span');
        words.className = 'muted';
        words.textContent = hint;
        option.append(name, ' ', words);
        return option;
      }),
    );
    list.hidden = list.children.length === 0;
    line.setAttribute('aria-expanded', String(!list.hidden));
  };

  const quoted = (text) => (/[\s,"]/.test(text) ? `"${text.replace(/["\\]/g, '\\$&')}"` : text);

  /** What stands before the caret and is completed: a field, or a value of one after its colon or a comma. */
  const wordAtCaret = () => {
    const [word] = /(?:"[^"]*"?|[^\s"])*$/.exec(line.value.slice(0, line.selectionStart));
    const [, name, values] = /^-?([a-z_]+):(.*)$/i.exec(word) ?? [];
    return name === undefined
      ? { part: word.replace(/^-/, '') }
      : { name: name.toLowerCase(), part: /(?:"[^"]*"?|[^,"])*$/.exec(values)[0] };
  };

  const complete = () => {
    const { name, part } = wordAtCaret();
    const begins = (text) => text.toLowerCase().startsWith(part.replace(/^"/, '').toLowerCase()) && text !== part;
    if (name === undefined) {
      return show(
        part === ''
          ? []
          : fields.filter(([field]) => begins(field)).map(([field, hint]) => ({ text: `${field}:`, hint })),
      );
    }
    const [, hint, values] = fields.find(([field]) => field === name) ?? [name, '', []];
    const all = values.filter(begins).map((value) => ({ text: `${quoted(value)} `, hint: '' }));
    show(part === '' && all.length > 0 ? [{ ...all[0], hint }, ...all.slice(1)] : all);
  };

  const take = (option) => {
    const { part } = wordAtCaret();
    line.setRangeText(option.dataset.text, line.selectionStart - part.length, line.selectionStart, 'end');
    complete();
  };

  line.addEventListener('input', complete);
  line.addEventListener('blur', () => show([]));
  list.addEventListener('mousedown', (event) => {
    // The line keeps the focus.
    event.preventDefault();
    const option = event.target.closest('[role=option]');
    if (option !== null) take(option);
  });
  line.addEventListener('keydown', (event) => {
    if (event.isComposing || event.shiftKey || list.hidden) return;
    const options = [...list.children];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined) {
      options[active]?.setAttribute('aria-selected', 'false');
      active = (active + step + options.length + (active < 0 && step < 0 ? 1 : 0)) % options.length;
      options[active].setAttribute('aria-selected', 'true');
      line.setAttribute('aria-activedescendant', options[active].id);
    } else if (event.key === 'Tab') take(options[Math.max(0, active)]);
    else if (event.key === 'Enter' && active >= 0) take(options[active]);
    else if (event.key === 'Escape') show([]);
    else return;
    event.preventDefault();
  });
}
