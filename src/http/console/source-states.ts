import { keyOf } from '../../ingest/planning/source.ts';
import { troubleTexts } from '../../status/causes.ts';
import { nearsLoss, type SourceHealth, sourceStates } from '../../status/health.ts';
import { PACE_MINUTES, type ReadingPace } from '../../status/overview.sql.ts';
import {
  collectedShare,
  type SourceCounts,
  type SourceGroup,
  type SourceWithState,
  sumOf,
} from '../../status/source-state.ts';
import { type Html, html } from './html.ts';
import { spanText } from './words.ts';

export type ShownState = SourceHealth | 'reading';
export const shownStates: readonly ShownState[] = [...sourceStates, 'reading'];

export const shownState = ({ state, firstReading }: Pick<SourceWithState, 'state' | 'firstReading'>): ShownState =>
  firstReading ? 'reading' : state;

/** `reading` alone would not say what. */
export const stateName = (state: string): string => (state === 'reading' ? 'reading history' : state);

export const stateMark = (state: string): Html => html`<span class="state state-${state}">${stateName(state)}</span>`;

export const shownCounts = (groups: readonly SourceGroup[]): ReadonlyMap<ShownState, number> => {
  const counts = new Map<ShownState, number>();
  const add = (state: ShownState, count: number) => counts.set(state, (counts.get(state) ?? 0) + count);
  for (const { state, sources, firstReading } of groups) {
    add(state, sources - firstReading);
    add('reading', firstReading);
  }
  return counts;
};

/** What no other of these logs has as well: what several have stands above them as one cause. */
export const ownTroubles = (sources: readonly SourceWithState[]): ((source: SourceWithState) => readonly string[]) => {
  const counts = new Map<string, number>();
  for (const text of sources.flatMap(troubleTexts)) counts.set(text, (counts.get(text) ?? 0) + 1);
  return (source) => troubleTexts(source).filter((text) => counts.get(text) === 1);
};

/** Of a first reading, time that Cloudflare is about to delete is the ordinary course. */
export const isLosing = (source: SourceWithState): boolean => nearsLoss(source) && !source.firstReading;

export type Paces = ReadonlyMap<string, ReadingPace>;

export const pacesOf = (paces: readonly ReadingPace[]): Paces => new Map(paces.map((pace) => [keyOf(pace), pace]));

const LEAST_SECONDS = 10;

const rateOf = (pace: ReadingPace | undefined): number =>
  pace === undefined || pace.overSeconds < LEAST_SECONDS ? 0 : pace.readSeconds / pace.overSeconds;

const leftText = (unreadSeconds: number, rate: number): string => {
  if (rate <= 0) return 'no estimate of the time left yet';
  const minutes = Math.ceil(unreadSeconds / rate / 60);
  return minutes <= 1 ? 'about a minute left' : `about ${spanText(minutes * 60)} left`;
};

/** 100 % only when all is read. */
const percent = (share: number): string => `${Math.min(99, Math.floor(share * 100))} %`;

export const progressText = (source: SourceWithState, paces: Paces): string =>
  `${percent(collectedShare(source))} · ${leftText(source.unreadHistorySeconds, rateOf(paces.get(keyOf(source))))}`;

const bar = (share: number): Html =>
  html`<progress class="reading" max="100" value="${Math.floor(share * 100)}" aria-label="History that is read"></progress>`;

const estimate = `The time left is estimated from how much was read in the last ${PACE_MINUTES} minutes; busy months take longer.`;
const losing =
  'The newest time is read first, and Cloudflare deletes what is older than 18 months: some of the oldest may be gone before it is read.';

export const readingSentence = (source: SourceWithState, paces: Paces): Html => {
  const share = collectedShare(source);
  const text = leftText(source.unreadHistorySeconds, rateOf(paces.get(keyOf(source))));
  return html`Its history is being read for the first time: ${percent(share)} of the time is collected, ${text}. New entries are collected meanwhile.
${bar(share)} <span class="sub">${estimate}${nearsLoss(source) ? ` ${losing}` : null}</span>`;
};

interface FirstReadings {
  readonly groups: readonly SourceGroup[];
  readonly sources: readonly SourceWithState[] | undefined;
  readonly paces: Paces;
  readonly words: (counts: SourceCounts) => string;
}

export const readingLine = ({ groups, sources, paces, words }: FirstReadings): Html | null => {
  const count = (owner: SourceGroup['owner']): number =>
    sumOf(
      groups.filter((group) => group.owner === owner),
      'firstReading',
    );
  const counts = { organizations: count('organization'), accounts: count('account') };
  if (counts.organizations + counts.accounts === 0) return null;
  const wantedSeconds = sumOf(groups, 'firstReadingWantedSeconds');
  const share = collectedShare({ wantedSeconds, gapSeconds: sumOf(groups, 'firstReadingGapSeconds') });
  const reading = sources?.filter(({ firstReading }) => firstReading) ?? [];
  const unread = reading.reduce((sum, source) => sum + source.unreadHistorySeconds, 0);
  const rate = reading.reduce((sum, source) => sum + rateOf(paces.get(keyOf(source))), 0);
  return html`The history of ${words(counts)} is being read for the first time: ${percent(share)} of the time is collected${sources === undefined ? null : html`, ${leftText(unread, rate)}`}. New entries are collected meanwhile.
${bar(share)} <span class="sub">${sources === undefined ? null : estimate}${sumOf(groups, 'firstReadingNearLoss') > 0 ? ` ${losing}` : null}</span>`;
};
