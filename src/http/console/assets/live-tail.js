// New events of a search above its list, as they are stored. Without this, a reload shows them.

const bar = document.querySelector('[data-live]');
const PAUSE_MS = 2000;
const AFTER_TROUBLE_MS = 5000;
/** More rows would only make the page slow. */
const MAX_ROWS = 200;
const title = document.title;

/** A number for each stretch between two pauses; undefined while paused. What a stretch asked for counts for nothing after its end. */
let running;
let stretches = 0;
let timer;
let count = 0;

const button = bar?.querySelector('[data-live-switch]');
const status = bar?.querySelector('[role=status]');
const rowsOf = (root) => [...root.querySelectorAll('[data-row]')];

/** `state` is for the style; the words say the same. */
const say = (state, words) => {
  const cut = count > MAX_ROWS ? ` (the last ${MAX_ROWS} are shown)` : '';
  const text = `${count} new${cut}${words}`;
  bar.dataset.state = state;
  // Said to a screen reader only if it has changed.
  if (status.textContent !== text) status.textContent = text;
  document.title = count > 0 ? `(${count}) ${title}` : title;
};

const stop = (words) => {
  running = undefined;
  clearTimeout(timer);
  button.textContent = 'Go on';
  say('paused', words);
};

/** The part of the table for what has arrived; on a page without a table, with the table that came. */
const placeFor = (came) => {
  const known = document.querySelector('tbody.arrived');
  if (known !== null) return known;
  const made = document.createElement('tbody');
  made.className = 'arrived';
  const table = document.querySelector('table.events');
  if (table !== null) {
    table.tHead.after(made);
    return made;
  }
  const fresh = document.adoptNode(came.querySelector('.scroll'));
  fresh.querySelector('tbody').replaceWith(made);
  document.querySelector('.explorer .empty').replaceWith(fresh);
  return made;
};

const take = (came) => {
  const shown = new Set(rowsOf(document).map((row) => row.getAttribute('href')));
  const fresh = rowsOf(came)
    .filter((row) => !shown.has(row.getAttribute('href')))
    .map((row) => row.closest('tr'));
  if (fresh.length === 0) return;
  count += fresh.length;
  const place = placeFor(came);
  place.prepend(...fresh);
  for (const old of [...place.rows].slice(MAX_ROWS)) old.remove();
};

/** Resolves with how long to wait; undefined: it goes no further. */
const look = async (mine) => {
  if (document.hidden) return PAUSE_MS;
  const response = await fetch(`${bar.dataset.live}&after=${bar.dataset.after}`, { redirect: 'manual' });
  // The session has ended: the browser goes to the sign-in page.
  if (response.type === 'opaqueredirect') return void location.reload();
  if (running !== mine) return undefined;
  if (response.status >= 400 && response.status < 500 && response.status !== 429) {
    return void stop(' · this search is refused; reload the page');
  }
  if (!response.ok) throw new Error(response.statusText);
  const came = new DOMParser().parseFromString(await response.text(), 'text/html').querySelector('[data-next]');
  const { next, head, feed } = came.dataset;
  if (running !== mine) return undefined;
  if (feed !== bar.dataset.feed || Number(head) < Number(bar.dataset.after)) {
    return void stop(' · another database answers; reload the page');
  }
  bar.dataset.after = next;
  take(came);
  say('live', ' · live');
  return Number(next) < Number(head) ? 0 : PAUSE_MS;
};

const loop = async (mine) => {
  let waitMs;
  try {
    waitMs = await look(mine);
  } catch {
    if (running !== mine) return;
    say('lost', ' · connection lost, trying again');
    waitMs = AFTER_TROUBLE_MS;
  }
  if (running === mine && waitMs !== undefined) timer = setTimeout(loop, waitMs, mine);
};

const toggle = () => {
  if (running !== undefined) return stop(' · paused');
  stretches += 1;
  running = stretches;
  button.textContent = 'Pause';
  say('live', ' · live');
  void loop(running);
};

if (bar !== null) {
  button.hidden = false;
  button.title = 'Start or pause (l)';
  button.addEventListener('click', toggle);
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'l' || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector('dialog[open]') !== null) return;
    if (event.target instanceof Element && event.target.closest('input, textarea, select') !== null) return;
    toggle();
  });
}
