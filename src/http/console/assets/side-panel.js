// The event of a row beside the list, and the row that was left when one comes back. Without this, a row leads to the event's page.
import { readyToCopy } from './explorer.js';

const wide = matchMedia('(min-width: 1100px)');
const list = document.querySelector('table.events');
const rows = () => [...document.querySelectorAll('[data-row]')];
const rowOf = (element) => element?.closest?.('tr')?.querySelector('[data-row]') ?? null;
/** What is to be opened on the page that a step leads to. */
const STEP = 'orgtrail-step';

let aside;
let shown;
let loading;

const button = (text, label, act) => {
  const made = document.createElement('button');
  made.type = 'button';
  made.className = 'quiet-button';
  made.textContent = text;
  made.title = label;
  made.addEventListener('click', act);
  return made;
};

/** To the event before or after in the result, also on the page beside this one. */
const step = (by) => {
  const all = rows();
  const next = all[all.indexOf(shown) + by];
  if (next !== undefined) return void next.focus();
  const link = document.querySelector(`.result-pager a[rel=${by > 0 ? 'next' : 'prev'}]`);
  if (link === null) return;
  sessionStorage.setItem(STEP, by > 0 ? 'first' : 'last');
  location.assign(link.href);
};

/** A list of another width may begin elsewhere: the row stays where the eye is. */
const inPlace = (row, change) => {
  const { top } = row.getBoundingClientRect();
  change();
  scrollBy(0, row.getBoundingClientRect().top - top);
};

const close = () => {
  if (aside === undefined) return;
  loading?.abort();
  inPlace(shown, () => {
    aside.remove();
    document.body.classList.remove('with-side');
  });
  aside = undefined;
  shown?.removeAttribute('aria-current');
  shown?.focus({ preventScroll: true });
  remember(false);
};

/** For coming back: the entry of the history knows its row. */
const remember = (isOpen) => history.replaceState({ row: shown?.getAttribute('href'), isOpen }, '');

const frameOf = () => {
  const made = document.createElement('aside');
  made.className = 'side';
  made.tabIndex = -1;
  made.setAttribute('aria-label', 'Event beside the list');
  const bar = document.createElement('div');
  bar.className = 'row between side-bar';
  const status = document.createElement('p');
  status.className = 'muted';
  status.setAttribute('role', 'status');
  const buttons = document.createElement('p');
  buttons.className = 'row';
  const whole = document.createElement('a');
  whole.className = 'quiet-button';
  whole.textContent = 'Open page';
  buttons.append(
    button('↑ Newer', 'The event before in the result (k)', () => step(-1)),
    button('↓ Older', 'The next event in the result (j)', () => step(1)),
    whole,
    button('Close', 'Close (Esc)', close),
  );
  const content = document.createElement('div');
  content.className = 'side-content';
  bar.append(status, buttons);
  made.append(bar, content);
  document.body.append(made);
  document.body.classList.add('with-side');
  return made;
};

/** The page of the event without its frame and the search, as the steps of the panel go through that. It stands below the heading of the list. */
const contentOf = async (path, signal) => {
  const response = await fetch(path, { headers: { accept: 'text/html' }, redirect: 'manual', signal });
  // The session has ended: the browser goes to the sign-in page.
  if (response.type === 'opaqueredirect') location.reload();
  const page = new DOMParser().parseFromString(await response.text(), 'text/html');
  const main = page.querySelector('main');
  for (const heading of main.querySelectorAll('h1')) {
    const lower = document.createElement('h2');
    lower.className = 'side-title';
    lower.append(...heading.childNodes);
    heading.replaceWith(lower);
  }
  return [...main.childNodes];
};

const show = async (row) => {
  if (row === shown && aside !== undefined) return;
  loading?.abort();
  loading = new AbortController();
  const { signal } = loading;
  shown?.removeAttribute('aria-current');
  shown = row;
  shown.setAttribute('aria-current', 'true');
  if (aside === undefined) {
    inPlace(row, () => {
      aside = frameOf();
    });
  }
  remember(true);
  const all = rows();
  aside.querySelector('[role=status]').textContent = `Event ${all.indexOf(row) + 1} of ${all.length} on this page`;
  aside.querySelector('.side-bar a').href = row.href;
  const content = aside.querySelector('.side-content');
  try {
    const nodes = await contentOf(row.pathname, signal);
    if (signal.aborted) return;
    content.replaceChildren(...nodes);
    aside.scrollTop = 0;
    readyToCopy(content);
  } catch {
    if (!signal.aborted) content.textContent = 'The event could not be loaded.';
  }
};

if (list !== null) {
  list.addEventListener('click', (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.button !== 0) return;
    const row = rowOf(event.target);
    const link = event.target.closest('a');
    if (row === null || (link !== null && link !== row) || !getSelection().isCollapsed) return;
    if (!wide.matches) {
      if (link === null) location.assign(row.href);
      return;
    }
    event.preventDefault();
    // A second time, from the keyboard, leads into the panel.
    if (row === shown && aside !== undefined && event.detail === 0) return void aside.focus();
    row.focus({ preventScroll: true });
    void show(row);
  });
  list.addEventListener('focusin', ({ target }) => {
    if (!target.matches('[data-row]')) return;
    if (aside !== undefined) void show(target);
    else history.replaceState({ row: target.getAttribute('href'), isOpen: false }, '');
  });
  document.addEventListener('keydown', (event) => {
    const isElsewhere =
      document.querySelector('dialog[open]') !== null || event.target.closest?.('input, select') != null;
    if (event.key === 'Escape' && aside !== undefined && !event.defaultPrevented && !isElsewhere) close();
  });
  wide.addEventListener('change', () => {
    if (!wide.matches) close();
  });

  const stepped = sessionStorage.getItem(STEP);
  sessionStorage.removeItem(STEP);
  // To the same address again is a new look at it.
  const isBack = performance.getEntriesByType('navigation')[0]?.type === 'back_forward';
  const { row: left, isOpen = false } = (isBack && history.state) || {};
  const back =
    stepped === null
      ? rows().find((row) => row.getAttribute('href') === left)
      : rows().at(stepped === 'first' ? 0 : -1);
  if (back !== undefined) {
    back.focus({ preventScroll: true });
    back.closest('tr').scrollIntoView({ block: 'nearest' });
    if ((isOpen || stepped !== null) && wide.matches) void show(back);
  }
}
