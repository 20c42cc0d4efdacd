import { isExact } from '../../../src/cli/demo/compare-with-truth.sql.ts';
import type { Sample } from './probe.ts';
import { type Course, outagePhases, type Phase } from './scenario.ts';
import { ORGANIZATIONS } from './world.ts';

/** One thing that the daemon must do, and what it did. `due` false: the run was too short for it to show. */
export interface Check {
  readonly what: string;
  readonly measured: string;
  readonly wanted: string;
  readonly ok: boolean;
  readonly due: boolean;
}

/** Of one core, on average over a phase; scrapes, health and Prometheus included. */
const MAX_CPU_PERCENT = 5;
/** A minute touches three ticks; each organization and the listing may be tried at each: in four attempts, told in one line. */
const MAX_LINES_PER_MINUTE = 3 * (ORGANIZATIONS + 1);
const MAX_ATTEMPTS_PER_MINUTE = 3 * 4 * (ORGANIZATIONS + 1);
const MAX_RESIDENT_MB = 250;
/** `/healthz` calls the listing behind once the last one is older; that one was up to a tick before the outage. */
const LISTING_BEHIND_AFTER_SECONDS = 300;
/** From threshold and `for` of the rule, with two scrapes and two evaluations. */
const alertsOfOutage = [
  ['OrgtrailNotReady', 300 + 300],
  ['OrgtrailNotFresh', 600 + 300],
] as const;
const ALERT_SLACK_SECONDS = 90;
const BLOCK_ALERT_SECONDS = 60;

/** Judges a run by its course and samples. `alerts` false: there was no Prometheus. */
export const judge = (course: Course, samples: readonly Sample[], alerts: boolean): readonly Check[] => {
  const of = (...names: readonly Phase[]) => samples.filter(({ phase }) => names.some((name) => name === phase));
  return [
    ...resourceChecks('during the outage', of(...outagePhases)),
    ...healthChecks(course, of(...outagePhases), of('recovered')),
    ...(alerts ? outageAlertChecks(course, of) : []),
    ...catchUpChecks(course),
    ...resourceChecks('during the block', of('block')),
    ...blockChecks(course, of('block')),
    ...(alerts ? blockAlertChecks(course, of) : []),
    exactCheck(course),
  ];
};

const check = (what: string, measured: string, wanted: string, ok: boolean, due = true): Check => ({
  what,
  measured,
  wanted,
  ok,
  due,
});

const first = (samples: readonly Sample[]): Sample | undefined => samples[0];
const secondsInto = (samples: readonly Sample[], at: Sample | undefined): number =>
  ((at?.atMs ?? 0) - (first(samples)?.atMs ?? 0)) / 1_000;

/** The most that a counter grew within any minute. */
const mostPerMinute = (samples: readonly Sample[], counter: (sample: Sample) => number): number =>
  Math.max(
    0,
    ...samples.map((from) => {
      const within = samples.filter(({ atMs }) => atMs >= from.atMs && atMs <= from.atMs + 60_000);
      return counter(within.at(-1) ?? from) - counter(from);
    }),
  );

const resourceChecks = (when: string, samples: readonly Sample[]): Check[] => {
  const [from, to] = [first(samples), samples.at(-1)];
  if (from === undefined || to === undefined) return [check(`samples ${when}`, '0', 'some', false)];
  const percent = (100 * (to.cpuMs - from.cpuMs)) / Math.max(1, to.atMs - from.atMs);
  const lines = mostPerMinute(samples, ({ logLines }) => logLines);
  const attempts = mostPerMinute(samples, (sample) => sample.attempts);
  const megabytes = Math.max(...samples.map(({ residentBytes }) => residentBytes)) / 1_048_576;
  const meanLines = ((to.logLines - from.logLines) * 60_000) / Math.max(1, to.atMs - from.atMs);
  return [
    check(`CPU ${when}`, `${percent.toFixed(1)} % of a core`, `≤ ${MAX_CPU_PERCENT} %`, percent <= MAX_CPU_PERCENT),
    check(
      `log lines in a minute ${when}`,
      `${lines} at most, ${meanLines.toFixed(1)} on average`,
      `≤ ${MAX_LINES_PER_MINUTE}`,
      lines <= MAX_LINES_PER_MINUTE,
    ),
    check(
      `attempts in a minute ${when}`,
      `${attempts} at most, ${to.attempts - from.attempts} in all`,
      `≤ ${MAX_ATTEMPTS_PER_MINUTE}`,
      attempts <= MAX_ATTEMPTS_PER_MINUTE,
    ),
    check(
      `memory ${when}`,
      `${megabytes.toFixed(0)} MB at most`,
      `≤ ${MAX_RESIDENT_MB} MB`,
      megabytes <= MAX_RESIDENT_MB,
    ),
    check(
      `/livez ${when}`,
      `200 in ${samples.filter(({ livez }) => livez === 200).length} of ${samples.length} looks`,
      'always 200',
      samples.every(({ livez }) => livez === 200),
    ),
  ];
};

const healthChecks = (course: Course, outage: readonly Sample[], recovered: readonly Sample[]): Check[] => {
  const seconds = course.outageMs / 1_000;
  const behind = outage.find(({ listing }) => listing === 'behind');
  const after = secondsInto(outage, behind);
  const due = seconds > LISTING_BEHIND_AFTER_SECONDS + 15;
  const timely = after >= LISTING_BEHIND_AFTER_SECONDS - 45 && after <= LISTING_BEHIND_AFTER_SECONDS + 15;
  const reason = /ECONNREFUSED|no response headers|SocketError|ECONNRESET|UND_ERR/.test(behind?.listingError ?? '');
  const last = outage.at(-1);
  const grown = (value: number) => value >= seconds - 60 && value <= seconds + 90;
  return [
    check(
      'the listing in /healthz during the outage',
      behind === undefined ? 'always ok' : `behind after ${after.toFixed(0)} s: "${behind.listingError}"`,
      `behind, with the reason, after ${LISTING_BEHIND_AFTER_SECONDS} s without a listing`,
      timely && reason,
      due,
    ),
    check(
      '/readyz during the outage and once it is over',
      `200 in ${[...outage, ...recovered].filter(({ readyz }) => readyz === 200).length} of ${outage.length + recovered.length} looks`,
      'always 200',
      recovered.length > 0 && [...outage, ...recovered].every(({ readyz }) => readyz === 200),
    ),
    check(
      'orgtrail_source_lag_seconds at the end of the outage',
      `${last?.lagSeconds.toFixed(0)} s`,
      `about ${seconds} s`,
      grown(last?.lagSeconds ?? 0),
    ),
    check(
      'orgtrail_discovery_age_seconds at the end of the outage',
      `${last?.discoveryAgeSeconds.toFixed(0)} s`,
      `about ${seconds} s`,
      grown(last?.discoveryAgeSeconds ?? 0),
    ),
  ];
};

type SamplesOf = (...names: readonly Phase[]) => readonly Sample[];

const firingIn = (samples: readonly Sample[]): string[] => [...new Set(samples.flatMap(({ firing }) => firing))].sort();
const listed = (names: readonly string[]): string => (names.length === 0 ? 'none' : names.join(', '));

const outageAlertChecks = (course: Course, of: SamplesOf): Check[] => {
  const outage = of(...outagePhases);
  const expected = alertsOfOutage.map(([name]): string => name);
  const others = firingIn(outage).filter((name) => !expected.includes(name));
  const still = of('recovered').at(-1)?.firing ?? ['not checked'];
  return [
    check('alerts before the outage', listed(firingIn(of('healthy'))), 'none', firingIn(of('healthy')).length === 0),
    ...alertsOfOutage.map(([name, dueSeconds]) => {
      const fired = outage.find(({ firing }) => firing.includes(name));
      const after = secondsInto(outage, fired);
      return check(
        `alert ${name}`,
        fired === undefined ? 'did not fire' : `fires after ${after.toFixed(0)} s`,
        `${dueSeconds - 45} to ${dueSeconds + ALERT_SLACK_SECONDS} s after the begin`,
        fired !== undefined && after >= dueSeconds - 45 && after <= dueSeconds + ALERT_SLACK_SECONDS,
        course.outageMs / 1_000 > dueSeconds + ALERT_SLACK_SECONDS,
      );
    }),
    check('other alerts during the outage', listed(others), 'none', others.length === 0),
    check('alerts a minute after catching up', listed(still), 'none', still.length === 0),
  ];
};

const catchUpChecks = (course: Course): Check[] => [
  check(
    'catching up after the outage',
    course.caughtUpMs === undefined
      ? 'not within 20 min'
      : `${(course.caughtUpMs / 1_000).toFixed(0)} s for ${course.backlog} entries`,
    '≤ 120 s',
    course.caughtUpMs !== undefined && course.caughtUpMs <= 120_000,
  ),
];

const blockChecks = (course: Course, block: readonly Sample[]): Check[] => {
  const [from, to] = [first(block), block.at(-1)];
  const throttledSeconds = (to?.throttledSeconds ?? 0) - (from?.throttledSeconds ?? 0);
  const blocked = Math.max(0, ...block.map(({ blockedSeconds }) => blockedSeconds));
  const blockSeconds = course.blockMs / 1_000;
  const caughtUp = course.caughtUpAfterBlockMs;
  return [
    check(
      'requests during the block',
      `${course.requestsWithinBlock}, after ${course.requestsAtBlock} that were on their way`,
      '0, after at most 6',
      course.requestsWithinBlock === 0 && course.requestsAtBlock >= 1 && course.requestsAtBlock <= 6,
    ),
    check(
      'orgtrail_api_throttled_seconds_total and orgtrail_api_blocked_seconds',
      `+${throttledSeconds.toFixed(0)} s, up to ${blocked.toFixed(0)} s`,
      `both about ${blockSeconds} s or more`,
      throttledSeconds >= blockSeconds - 15 && blocked >= blockSeconds - 15,
    ),
    check(
      'catching up after the block',
      caughtUp === undefined ? 'not within 20 min' : `${(caughtUp / 1_000).toFixed(0)} s`,
      '≤ 90 s (two ticks, and entries that appear late)',
      caughtUp !== undefined && caughtUp <= 90_000,
    ),
  ];
};

const blockAlertChecks = (course: Course, of: SamplesOf): Check[] => {
  const firing = firingIn(of('block'));
  const still = of('after block').at(-1)?.firing ?? ['not checked'];
  return [
    check(
      'alerts during the block',
      listed(firing),
      'OrgtrailApiBlocked',
      firing.join() === 'OrgtrailApiBlocked',
      course.blockMs / 1_000 > BLOCK_ALERT_SECONDS + ALERT_SLACK_SECONDS,
    ),
    check('alerts at the end', listed(still), 'none', still.length === 0),
  ];
};

const exactCheck = ({ comparison }: Course): Check =>
  check(
    'the store at the end',
    `${comparison.stored} of ${comparison.expected} entries; missing ${comparison.missing}, extra ${comparison.extra}, ` +
      `twice ${comparison.duplicates}, positions missing ${comparison.positionsMissing}`,
    'exactly what was served',
    isExact(comparison),
  );
