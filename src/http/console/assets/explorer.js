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

// A calendar for the fields of time, which are UTC.
const absolute = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?::\d\d(?:\.\d+)?)?Z?)?$/i;
for (const picker of document.querySelectorAll('[data-pick-times] [data-into]')) {
  const field = document.getElementById(picker.dataset.into);
  const [, date, minutes = '00:00'] = absolute.exec(field.value.trim()) ?? [];
  if (date !== undefined) picker.value = `${date}T${minutes}`;
  picker.addEventListener('input', () => {
    if (picker.value !== '') field.value = picker.value;
  });
  picker.closest('[data-pick-times]').hidden = false;
}
