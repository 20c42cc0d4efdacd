// A search that no index helps goes on by itself until its page is full. Without this, a click goes on.

const block = document.querySelector('[data-go-on]');
const AFTER_TROUBLE_MS = 3000;
const WHILE_HIDDEN_MS = 1000;

const startedMs = performance.now();
const tools = block?.querySelector('[data-go-on-tools]');
const button = tools?.querySelector('button');
const bar = tools?.querySelector('progress');
const status = block?.querySelector('[role=status]');
const rowsOf = (root) => [...root.querySelectorAll('[data-row]')].map((row) => row.closest('tr'));
const nextOf = (root) => root.querySelector('.result-pager [rel=next]');

let isRunning = false;
/** What is under way since the last start: an answer to it must not come after a stop, nor after a start that follows. */
let underWay = new AbortController();
let timer;

const say = (words) => {
  status.textContent = `${words} ${Math.round((performance.now() - startedMs) / 1000)} s so far.`;
};

/** How far it is between the two ends of the search; one without an end in the past has no share. */
const showShare = ({ fromMs, sinceMs, reachedMs }) => {
  const share = (Number(fromMs) - Number(reachedMs)) / (Number(fromMs) - Number(sinceMs));
  if (sinceMs === '' || !Number.isFinite(share)) bar.removeAttribute('value');
  else bar.value = share;
};

const stop = (words) => {
  isRunning = false;
  underWay.abort();
  clearTimeout(timer);
  button.textContent = 'Go on';
  say(words);
};

/** It has come to an end: what is left is what the last page says. */
const finish = (words) => {
  isRunning = false;
  tools.hidden = true;
  say(words);
};

const addRows = (came) => {
  const fresh = rowsOf(came);
  if (fresh.length === 0) return;
  const table = document.querySelector('#result table.events tbody:last-of-type');
  if (table !== null) table.append(...fresh);
  else
    document.querySelector('.explorer .empty').replaceWith(document.adoptNode(came.querySelector('#result .scroll')));
};

/** The pager leads on from where the last page ended, and counts what stands here. */
const takePager = (came) => {
  const next = nextOf(document);
  const [, count, after] = document.querySelector('.result-pager').children;
  const rows = rowsOf(document).length;
  count.textContent = `${rows} ${rows === 1 ? 'event' : 'events'} on this page`;
  const fresh = came.querySelector('.result-pager').lastElementChild;
  (next ?? after).replaceWith(document.adoptNode(fresh));
};

const take = (came) => {
  addRows(came);
  takePager(came);
  const further = came.querySelector('[data-go-on]');
  if (further === null) {
    const empty = document.querySelector('.explorer .empty');
    if (empty !== null) empty.textContent = 'Nothing found.';
    return finish(nextOf(document) === null ? 'Searched to the end:' : 'This page is full:');
  }
  showShare(further.dataset);
  if (rowsOf(document).length >= Number(block.dataset.limit)) return finish('This page is full:');
  say(`Slow search (not indexed): searched back to ${further.querySelector('[data-reached-text]').textContent}.`);
  loop(0);
};

const step = async (signal) => {
  if (document.hidden) return loop(WHILE_HIDDEN_MS);
  const asked = nextOf(document).href;
  const response = await fetch(asked, { headers: { accept: 'text/html' }, redirect: 'manual', signal });
  // The session has ended: the browser goes to the sign-in page.
  if (response.type === 'opaqueredirect') return location.reload();
  const text = await response.text();
  if (signal.aborted) return;
  if (response.status >= 400 && response.status < 500 && response.status !== 429) {
    return stop('Stopped: this search is refused. Reload the page.');
  }
  if (!response.ok) throw new Error(response.statusText);
  take(new DOMParser().parseFromString(text, 'text/html'));
};

const run = () => {
  const { signal } = underWay;
  return step(signal).catch(() => {
    if (signal.aborted) return;
    say('No answer in time; trying again.');
    loop(AFTER_TROUBLE_MS);
  });
};

const loop = (waitMs) => {
  timer = setTimeout(run, waitMs);
};

const start = () => {
  isRunning = true;
  underWay = new AbortController();
  button.textContent = 'Stop';
  loop(0);
};

if (block !== null && nextOf(document) !== null) {
  tools.hidden = false;
  showShare(block.dataset);
  button.addEventListener('click', () => (isRunning ? stop('Stopped.') : start()));
  start();
}
