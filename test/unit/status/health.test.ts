import { expect, it, test } from 'vitest';
import {
  behindAfterSeconds,
  discoveryTooOldSeconds,
  laneTroubleText,
  notCollectedSentence,
  pausesOf,
  type SourceFacts,
  type SourceHealth,
  sourceHealth,
  sourceStates,
  vanishedOf,
} from '../../../src/status/health.ts';

const TICK_MS = 30_000;

// biome-ignore format: a table
const table: readonly [string, Partial<SourceFacts>, SourceHealth][] = [
  ['read up to now, with a recent event', {}, 'fresh'],
  ['an event exactly a day ago', { sinceLastEventSeconds: 86_400 }, 'fresh'],
  ['no event for longer than a day', { sinceLastEventSeconds: 86_401 }, 'quiet'],
  ['never an event', { sinceLastEventSeconds: null }, 'quiet'],
  ['a lag of four ticks', { lagSeconds: 120, gapSeconds: 120 }, 'fresh'],
  ['a lag of more than four ticks', { lagSeconds: 121, gapSeconds: 121 }, 'behind'],
  ['history missing though the tail is read', { gapSeconds: 1_000_000 }, 'behind'],
  ['behind before quiet', { gapSeconds: 1_000_000, sinceLastEventSeconds: null }, 'behind'],
  ['a second that cannot be read, though all else is read', { holes: 1 }, 'incomplete'],
  ['incomplete before behind', { holes: 1, lagSeconds: 9_999, gapSeconds: 9_999 }, 'incomplete'],
  ['incomplete before quiet', { holes: 1, sinceLastEventSeconds: null }, 'incomplete'],
  ['failing before incomplete', { holes: 1, failures: 1 }, 'failing'],
  ['one failure', { failures: 1 }, 'failing'],
  ['a window that is halved', { failures: 2, lastFailure: null }, 'fresh'],
  ['a window that is halved again and again', { failures: 3, lastFailure: null }, 'failing'],
  ['read up to a minute ahead of the database, as Cloudflare’s clock may be', { futureSeconds: 61 }, 'fresh'],
  ['claimed further than anything can have been read', { futureSeconds: 61.001 }, 'failing'],
  ['nothing read yet', { futureSeconds: null }, 'fresh'],
  ['failing before behind', { failures: 3, lagSeconds: 9_999, gapSeconds: 9_999 }, 'failing'],
  ['failing before quiet', { failures: 1, sinceLastEventSeconds: null }, 'failing'],
  ['refused', { refused: true }, 'refused'],
  ['refused before all others', { refused: true, failures: 9, lagSeconds: 9_999, sinceLastEventSeconds: null }, 'refused'],
];

it.each(table)('sourceHealth %s', (_, facts, expected) =>
  expect(sourceHealth({ ...healthy, ...facts }, TICKS)).toBe(expected),
);

it('sourceHealth can be every state there is', () =>
  expect(new Set(table.map(([, , state]) => state))).toEqual(new Set(sourceStates)));

it('sourceHealth gives a source a minute, however short the tick', () =>
  expect(
    [1_000, 15_000, TICK_MS, 3_600_000].map((tickMs) => behindAfterSeconds({ tickMs, longestMs: tickMs })),
  ).toEqual([60, 60, 120, 14_400]));

const settings = { tickMs: TICK_MS, apiBudget: 900 };

it('where the budget does not let all be asked at every tick the longest pause follows from the number of sources and the budget', () => {
  expect(pausesOf(settings, 10)).toEqual(TICKS);
  expect(pausesOf(settings, 5_000)).toEqual({ tickMs: TICK_MS, longestMs: 2 * 2_380_952 });
  expect(pausesOf({ ...settings, apiBudget: 9_000 }, 5_000).longestMs).toBe(2 * 238_095);
});

it('where the budget does not let all be asked at every tick a source that pauses on purpose is not behind, and one that missed its turn twice is', () => {
  const pauses = pausesOf(settings, 5_000);
  const seconds = pauses.longestMs / 1_000;
  expect(sourceHealth({ ...healthy, lagSeconds: seconds, gapSeconds: seconds }, pauses)).toBe('fresh');
  expect(sourceHealth({ ...healthy, lagSeconds: 2 * seconds + 1 }, pauses)).toBe('behind');
});

it('discoveryTooOldSeconds is ten ticks, at least five minutes', () =>
  expect([1_000, TICK_MS, 60_000, 3_600_000].map(discoveryTooOldSeconds)).toEqual([300, 300, 600, 36_000]));

const gone = [0, 86_400, 86_401, null].map((goneSeconds) => ({ goneSeconds }));

it('vanishedOf names those that went within a day', () => {
  expect(vanishedOf(gone, 3)).toEqual([{ goneSeconds: 0 }, { goneSeconds: 86_400 }]);
  expect(vanishedOf([], 3)).toEqual([]);
});

it('vanishedOf names all that are gone if none is left to pull', () => {
  expect(vanishedOf(gone, 0)).toEqual(gone);
  expect(vanishedOf([], 0), 'there never was any').toEqual([]);
});

test('a failing lane is named with what it fails by, as far as that is known', () => {
  const lane = { lane: 'backfill', failures: 2, lastFailure: null, lastError: null };
  expect(laneTroubleText({ ...lane, lastFailure: 'server_error', lastError: 'it answered 500' })).toBe(
    'backfill fails: it answered 500',
  );
  expect(laneTroubleText({ ...lane, lastFailure: 'server_error' })).toBe('backfill fails: server_error');
  expect(laneTroubleText(lane)).toMatch(/^backfill fails: .*halved/);
});

test.each([
  [0, 0, 'Not collected: 0s.'],
  [45.2, 45.2, 'Not collected: 45s, the newest.'],
  [72, 45, 'Not collected: 1m 12s, 45s of it the newest.'],
  [3_600, 0.5, 'Not collected: 1h, of earlier time.'],
])('%d s, %d s of them the delay: %s', (gapSeconds, lagSeconds, words) =>
  expect(notCollectedSentence({ gapSeconds, lagSeconds })).toBe(words),
);

const TICKS = { tickMs: TICK_MS, longestMs: TICK_MS };
const healthy: SourceFacts = {
  refused: false,
  failures: 0,
  lastFailure: 'server',
  holes: 0,
  lagSeconds: 30,
  gapSeconds: 30,
  sinceLastEventSeconds: 60,
  futureSeconds: -30,
};
