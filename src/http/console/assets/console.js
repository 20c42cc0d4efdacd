// What the console does in the browser. Every page works without it.
import { Idiomorph } from './idiomorph.esm.js';

const seconds = Number(document.body.dataset.refreshSeconds ?? 0);

/** Takes over what has changed in `main`: scroll, focus and open details stay, and what says `data-keep`. */
const takeOver = (text) => {
  const fresh = new DOMParser().parseFromString(text, 'text/html').querySelector('main');
  const main = document.querySelector('main');
  if (fresh === null || main === null) return;
  const open = new Set([...main.querySelectorAll('details[open][id]')].map(({ id }) => id));
  for (const details of fresh.querySelectorAll('details[id]')) details.open = open.has(details.id);
  Idiomorph.morph(main, fresh, {
    morphStyle: 'outerHTML',
    restoreFocus: true,
    callbacks: { beforeNodeMorphed: (old) => !(old instanceof Element && old.matches('[data-keep]')) },
  });
};

/** The page as it is now; undefined if the server does not answer as it should. */
const fetchPage = async () => {
  try {
    const response = await fetch(location.href, { headers: { accept: 'text/html' }, redirect: 'manual' });
    // The session has ended: the browser goes to the sign-in page.
    if (response.type === 'opaqueredirect') location.reload();
    return response.ok ? await response.text() : undefined;
  } catch {
    return undefined;
  }
};

let isPaused = false;

const refresh = async () => {
  if (document.hidden || isPaused) return;
  const text = await fetchPage();
  if (text !== undefined) takeOver(text);
  mark(text === undefined ? 'stale' : 'live');
};

/** Says that what is seen is old, if the server does not answer. */
const mark = (state) => {
  document.body.dataset.connection = state;
  const note = document.querySelector('[data-connection-note]');
  if (note !== null) note.textContent = state === 'stale' ? 'Connection lost. The data shown may be old.' : '';
};

if (seconds > 0) {
  const loop = async () => {
    await refresh().finally(() => setTimeout(loop, seconds * 1000));
  };
  setTimeout(loop, seconds * 1000);
  document.addEventListener('visibilitychange', refresh);
  const pause = document.querySelector('[data-refresh-switch]');
  pause.hidden = false;
  pause.addEventListener('click', () => {
    isPaused = !isPaused;
    pause.setAttribute('aria-pressed', String(isPaused));
    void refresh();
  });
}

// Only the browser knows its time zone.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
for (const button of document.querySelectorAll('[data-local-zone]')) {
  if (!zone) continue;
  button.hidden = false;
  button.value = zone;
  button.title = `Times of ${zone}`;
}

// The list of keys.
const keys = document.querySelector('#keys');
for (const button of document.querySelectorAll('[data-keys]')) {
  button.hidden = false;
  button.addEventListener('click', () => keys.showModal());
}
document.addEventListener('keydown', (event) => {
  const isTyping = event.target instanceof Element && event.target.closest('input, textarea, select') !== null;
  if (event.key !== '?' || event.ctrlKey || event.metaKey || event.altKey || isTyping || !keys || keys.open) return;
  event.preventDefault();
  keys.showModal();
});

/** To the search of the page. False if the page has none. */
export const toSearch = () => {
  const search = document.querySelector('[data-search]');
  if (search === null) return false;
  search.focus();
  search.select();
  return true;
};

// Ctrl+K or ⌘K.
document.addEventListener('keydown', (event) => {
  if (event.key !== 'k' || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
  if (toSearch()) event.preventDefault();
});
