import { formatDuration } from '../base/time.ts';
import { type EvidenceStatus, isStopped, isUnanchored } from '../evidence/stored/evidence-status.sql.ts';
import type { DatabaseCause } from '../postgres/sql-state.ts';
import type { Alarm } from '../sinks/findings/alarms.sql.ts';
import type { SinkStatus } from '../sinks/sink-status.sql.ts';
import {
  behindAfterSeconds,
  claimsFuture,
  discoveryTooOldSeconds,
  laneTroubleText,
  nearsLoss,
  pausesOf,
} from './health.ts';
import {
  countsByState,
  isAccount,
  ownerName,
  type SourceWithState,
  type StatusWithStates,
  sinkState,
  sumOf,
} from './source-state.ts';

/** Something that is wrong, with what to do. JSON for people and programs, and the alarms of sinks: the names are a contract (docs/operations/troubleshooting.md). */
export interface Cause {
  readonly cause: string;
  /** The sink. */
  readonly about?: string;
  /** What the whole is because of it; ok: worth a line. */
  readonly state: 'failing' | 'refused' | 'vanished' | 'incomplete' | 'behind' | 'ok';
  readonly severity: Alarm['severity'];
  /** Logs, listings or objects that have it. */
  readonly count: number;
  readonly what: string;
  /** RFC 3339: when it was last well, or first noticed; null: not known. */
  readonly since: string | null;
  readonly action: string;
}

export interface CauseFacts {
  readonly status: StatusWithStates;
  readonly sinks: readonly SinkStatus[];
  readonly tickMs: number;
  readonly apiBudget: number;
  /** Why nothing can be written; as this process knows, or has tried. */
  readonly writing?: (DatabaseCause & { readonly since?: Date | undefined }) | undefined;
  /** No request of the budget is left. */
  readonly isBudgetUsedUp?: boolean | undefined;
  readonly evidence?: EvidenceStatus | undefined;
  readonly archive?: { readonly waitingMonths: number; readonly faultyObjects: number } | undefined;
  /** Why the trail of access cannot be written. */
  readonly accessTrouble?: string | undefined;
  readonly nowMs: number;
}

const order: readonly Cause['state'][] = ['failing', 'refused', 'vanished', 'incomplete', 'behind', 'ok'];

/** A pure function: all that is wrong, by state; what has one cause is one of them. */
export const causesOf = (facts: CauseFacts): readonly Cause[] =>
  found(facts).toSorted((a, b) => order.indexOf(a.state) - order.indexOf(b.state));

const found = (facts: CauseFacts): readonly Cause[] => [
  ...databaseCauses(facts),
  ...credentialCauses(facts),
  ...requestCauses(facts),
  ...listingCauses(facts),
  ...logCauses(facts),
  ...facts.sinks.flatMap(sinkCauses),
  ...retentionCauses(facts),
  ...evidenceCauses(facts),
];

/** `the disk of the database is full (since 2026-11-29T19:31:04Z). Try: give it room` */
export const causeText = ({ what, since, action }: Pick<Cause, 'what' | 'since' | 'action'>): string =>
  `${what}${since === null ? '' : ` (since ${since})`}. Try: ${action}`;

/** `sink_failing NAME` for each sink. */
export const keyOfCause = ({ cause, about }: Pick<Cause, 'cause' | 'about'>): string =>
  about === undefined ? cause : `${cause} ${about}`;

/** Each is one alarm. */
export const alarmsOf = (causes: readonly Cause[]): readonly Alarm[] =>
  Array.from(Map.groupBy(causes, keyOfCause), ([alarm, [first, ...others]]) => ({
    alarm,
    severity: first?.severity ?? 'high',
    summary: `${first?.what}${others.length === 0 ? '' : `, and ${others.length} more`}`,
  }));

export const REFUSED_CREDENTIAL =
  'the credential itself is not taken: check its secret, and that it has not expired or been revoked';

/** How bad it is, and what to do. Those of the database bring their own. */
// biome-ignore format: a table
const kinds = {
  no_daemon: ['critical', 'start it, or read its last log lines; meanwhile nothing is collected, and what is missed is read later'],
  access_log_lost: ['high', 'the log of the daemon has the rows; mend the database'],
  credential_refused: ['critical', `${REFUSED_CREDENTIAL}; \`orgtrail check\` names what it may do`],
  access_lost: ['critical', 'give the credential the permission to read these audit logs; `orgtrail check` names what is missing'],
  accounts_refused: ['high', 'give the credential the permission, or set ORGTRAIL_SOURCES=organizations to read none'],
  requests_wait: ['high', 'it ends by itself; lower ORGTRAIL_API_BUDGET if other programs use the same user'],
  clocks_differ: ['high', 'set the clock of the host of the database (NTP)'],
  listing_fails: ['high', '`orgtrail check` tries it; new organizations are not noticed meanwhile, and known ones are read on'],
  listing_incomplete: ['high', 'if it lasts, name all of them in ORGTRAIL_ORGANIZATIONS or ORGTRAIL_ACCOUNTS'],
  source_failing: ['high', 'it is retried by itself, up to a quarter of an hour later; `orgtrail check` tries the API'],
  clock: ['critical', 'a daemon cuts it at its next plan; if it stays, find out which account wrote to the table coverage'],
  loss_near: ['critical', 'mend what else is named; if requests are the limit, raise ORGTRAIL_API_BUDGET or shorten ORGTRAIL_HISTORY'],
  coverage_hole: ['critical', "it is retried after an hour, later once a week; if it stays, ask Cloudflare's support for this time"],
  vanished: ['critical', 'if that was not on purpose, give the credential its access back'],
  not_fresh: ['high', 'mend what else is named; else wait, if what is not collected shrinks'],
  sink_failing: ['high', '`orgtrail sink test NAME` tries the receiver; it is retried by itself, and nothing else waits for it'],
  sink_behind: ['high', 'they go out by themselves; if it grows, the receiver is too slow'],
  retention_waits: ['medium', '`orgtrail hold confirm` ends that, once all holds are there'],
  retention_held_up: ['medium', '`orgtrail archive run` (without an archive the log of the daemon) says why each stays; nothing is lost'],
  archive_faulty: ['critical', '`orgtrail archive verify` names them; of a month that was dropped, find an earlier version or a copy now'],
  evidence_behind: ['critical', '`orgtrail evidence status`, then docs/operations/troubleshooting.md#the-evidence-signs-nothing'],
  evidence_halted: ['critical', '`orgtrail evidence status`, then docs/operations/troubleshooting.md#the-evidence-signs-nothing'],
  evidence_no_key: ['critical', '`orgtrail evidence status`, then docs/operations/troubleshooting.md#the-evidence-signs-nothing'],
  evidence_unanchored: ['medium', 'set ORGTRAIL_EVIDENCE_ANCHORS'],
} as const satisfies Record<string, readonly [severity: Cause['severity'], action: string]>;

const made = (cause: keyof typeof kinds, state: Cause['state'], what: string, more: Partial<Cause> = {}): Cause => {
  const [severity, action] = kinds[cause];
  return { cause, state, severity, count: 1, what, since: null, action, ...more };
};

/** A daemon notes every 5 seconds that it is at work. With the time that a command takes, less than a minute. */
const NO_DAEMON_SECONDS = 45;
/** Shorter waits, and smaller differences, are not noticed. */
const NOTICED_SECONDS = 60;
/** As in the alert OrgtrailNotFresh. */
const NOT_FRESH_SECONDS = 600;
const MOST_NAMED = 3;

const instant = (time: Date | number | null | undefined): string | null =>
  time == null ? null : new Date(time).toISOString().replace(/\.\d+Z$/, 'Z');

export const writingCause = ({ cause, what, action, since }: NonNullable<CauseFacts['writing']>): Cause => ({
  ...made('no_daemon', 'failing', what, { action, since: instant(since) }),
  cause,
});

const databaseCauses = ({ status, writing, accessTrouble, nowMs }: CauseFacts): readonly Cause[] => {
  const causes = writing === undefined ? [] : [writingCause(writing)];
  const silentMs = (status.aliveSecondsAgo ?? 0) * 1_000;
  if (writing === undefined && silentMs > NO_DAEMON_SECONDS * 1_000) {
    const what = `no daemon has written for ${formatDuration(silentMs)}: is it running?`;
    causes.push(made('no_daemon', 'failing', what, { since: instant(nowMs - silentMs) }));
  }
  if (accessTrouble !== undefined)
    causes.push(made('access_log_lost', 'failing', `the trail of access cannot be written: ${accessTrouble}`));
  return causes;
};

const isDeniedText = (error: string | null): boolean => error !== null && /answered with 40[13]\b/.test(error);

const isDenied = ({ state, lastFailure }: SourceWithState): boolean =>
  state === 'refused' || lastFailure === 'unauthorized' || lastFailure === 'refused';

/** By all logs and by the listing, as far as there are any: not only that a permission is missing. */
const isDeniedEverywhere = ({ sources, groups, discovery, isWhole }: StatusWithStates): boolean =>
  sources.every(isDenied) &&
  (isWhole || countsByState(groups).refused === sumOf(groups)) &&
  (isDeniedText(discovery.lastError) || sources.some(({ lastFailure }) => lastFailure === 'unauthorized'));

const credentialCauses = ({ status }: CauseFacts): readonly Cause[] => {
  const { sources, groups, discovery } = status;
  if (isDeniedEverywhere(status)) {
    const all = sumOf(groups);
    const error = isDeniedText(discovery.lastError) ? discovery.lastError : sources[0]?.lastError;
    const of = all === 0 ? '' : `, for ${all === 1 ? 'the only log' : `all ${all} logs`}`;
    const more = { count: Math.max(1, all), since: lastRead(sources) };
    return [made('credential_refused', 'refused', `the credential is refused everywhere${of}: ${error}`, more)];
  }
  const refused = sources.filter(({ state }) => state === 'refused');
  const count = countsByState(groups).refused ?? refused.length;
  return ofLogs('access_lost', 'refused', refused, reasonOf(refused[0]), Math.max(count, refused.length));
};

const lastRead = (sources: readonly SourceWithState[]): string | null => {
  const times = sources.flatMap(({ lastSuccessAt }) => (lastSuccessAt === null ? [] : [lastSuccessAt.getTime()]));
  return times.length === 0 ? null : instant(Math.max(...times));
};

/** `Acme (id-a)` or `24 logs (Acme, Beta, Gamma and 21 more)` */
const namesOf = (sources: readonly SourceWithState[], count: number): string => {
  const [first] = sources;
  if (count === 1 && first !== undefined) {
    const name = ownerName(first);
    return `${isAccount(first) ? 'account ' : ''}${name === null ? first.id : `${name} (${first.id})`}`;
  }
  // Of many sources, a limit may leave none to name.
  if (first === undefined) return `${count} logs`;
  return `${count} logs (${listOf(
    sources.slice(0, MOST_NAMED).map((source) => ownerName(source) ?? source.id),
    count,
  )})`;
};

const listOf = (names: readonly string[], count: number): string => {
  const more = count - Math.min(names.length, MOST_NAMED);
  return `${names.slice(0, MOST_NAMED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
};

/** None without logs. What is only of a first reading makes nothing late. */
const ofLogs = (
  cause: keyof typeof kinds,
  state: Cause['state'],
  these: readonly SourceWithState[],
  text: string,
  count = these.length,
): readonly Cause[] => {
  if (count === 0) return [];
  const isFirst = state === 'behind' && these.every(({ firstReading }) => firstReading);
  return [made(cause, isFirst ? 'ok' : state, `${namesOf(these, count)}: ${text}`, { count, since: lastRead(these) })];
};

/** Without the id of the log, so that equal reasons are equal. */
export const troubleTexts = ({ id, failingLanes }: SourceWithState): readonly string[] =>
  failingLanes.map((trouble) => laneTroubleText(trouble).replaceAll(id, 'ID'));

const reasonOf = (source: SourceWithState | undefined): string =>
  (source && troubleTexts(source)[0]) ?? 'no reason known';

const requestCauses = ({ status, isBudgetUsedUp = false, tickMs, apiBudget, nowMs }: CauseFacts): readonly Cause[] => {
  const { requestsBlocked: blocked, clockAheadSeconds: ahead, groups } = status;
  const causes: Cause[] = [];
  const behindAfter = behindAfterSeconds(pausesOf({ tickMs, apiBudget }, sumOf(groups)));
  const isLate = groups.length === 0 || groups.some(({ mostLagSeconds }) => mostLagSeconds > behindAfter);
  if (blocked !== null && (blocked.seconds > NOTICED_SECONDS || isLate)) {
    const waitMs = blocked.seconds * 1_000;
    const why = `because Cloudflare limits them (${blocked.because}), until ${instant(nowMs + waitMs)}`;
    causes.push(made('requests_wait', 'behind', `requests wait: ${formatDuration(waitMs)} more, ${why}`));
  } else if (isBudgetUsedUp && isLate && groups.length > 0) {
    const what = `requests wait: the ${apiBudget} that ORGTRAIL_API_BUDGET allows in 5 minutes are used up, so new entries are late`;
    const action =
      'a first reading ends it by itself; else raise ORGTRAIL_API_BUDGET, if others who use the same user leave room';
    causes.push(made('requests_wait', 'behind', what, { action }));
  }
  if (ahead !== null && Math.abs(ahead) > NOTICED_SECONDS) {
    const by = formatDuration(Math.abs(ahead) * 1_000);
    const how =
      ahead > 0
        ? `${by} behind Cloudflare, so entries are read that much late`
        : `${by} ahead of Cloudflare, so delays look that much longer`;
    causes.push(made('clocks_differ', 'behind', `clocks differ: the database is ${how}`));
  }
  return causes;
};

const listingCauses = ({ status, tickMs }: CauseFacts): readonly Cause[] => {
  if (isDeniedEverywhere(status)) return [];
  const { ageSeconds, lastError, lastSuccessAt, accountsRefused, shortListings } = status.discovery;
  const causes: Cause[] = [];
  const isOld = ageSeconds === null || ageSeconds > discoveryTooOldSeconds(tickMs);
  const waits = lastError === null && ageSeconds === null && status.requestsBlocked !== null;
  if ((isOld || lastError !== null) && !waits) {
    const how =
      ageSeconds === null ? 'the organizations have not been listed yet' : 'the listing of organizations fails';
    const what = `${how}${lastError === null ? '' : `: ${lastError}`}`;
    causes.push(made('listing_fails', isOld ? 'behind' : 'ok', what, { since: instant(lastSuccessAt) }));
  }
  for (const { of, listings, since, reason } of shortListings) {
    const many = listings === 1 ? '' : ` (${listings} listings)`;
    const what = `${of} have not been listed in full${many}: ${reason}; none of them ends by that`;
    const action = `if it lasts, name all of them in ORGTRAIL_${of.toUpperCase()}`;
    causes.push(made('listing_incomplete', 'incomplete', what, { action, since, count: listings }));
  }
  if (accountsRefused !== undefined) {
    const what = `accounts may not be listed, so none of them is read: ${accountsRefused}`;
    causes.push(made('accounts_refused', 'refused', what));
  }
  return causes;
};

const logCauses = (facts: CauseFacts): readonly Cause[] => {
  const { status } = facts;
  const { sources, groups } = status;
  const readable = isDeniedEverywhere(status) ? [] : sources.filter(({ state }) => state !== 'refused');
  const isWaiting = requestCauses(facts).some(({ cause }) => cause === 'requests_wait');
  const failing = readable.filter(
    (source) =>
      source.state === 'failing' && !claimsFuture(source) && !(isWaiting && source.lastFailure === 'throttled'),
  );
  const ahead = readable.filter(claimsFuture);
  const withHoles = readable.filter(({ holes }) => holes > 0);
  const late = readable.filter(({ lagSeconds }) => lagSeconds > NOT_FRESH_SECONDS);
  const lost = 'Cloudflare will soon delete what is not collected';
  const lacking = 'some time cannot be collected, and entries may be missing there';
  return [
    ...Array.from(Map.groupBy(failing, reasonOf), ([text, these]) =>
      ofLogs('source_failing', 'failing', these, text),
    ).flat(),
    ...ofLogs('clock', 'failing', ahead, 'coverage reaches beyond now, and hides what is not read until then'),
    ...ofLogs('loss_near', 'behind', sources.filter(nearsLoss), lost, sumOf(groups, 'nearLoss')),
    ...ofLogs('coverage_hole', 'incomplete', withHoles, lacking, sumOf(groups, 'withHoles')),
    ...vanishedCauses(status),
    ...ofLogs('not_fresh', 'behind', late, 'the newest entries are not collected'),
  ];
};

const vanishedCauses = ({ vanished }: StatusWithStates): readonly Cause[] =>
  Array.from(
    Map.groupBy(vanished, ({ isReadOn }) => isReadOn),
    ([isReadOn, these]) => {
      const names = these.map((gone) => {
        const id = gone.accountId ?? gone.organizationId;
        const name = gone.accountId === undefined ? gone.organizationName : gone.accountName;
        return `${gone.accountId === undefined ? '' : 'account '}${name === null ? id : `${name} (${id})`}`;
      });
      const how = isReadOn
        ? 'no listing that is read shows it any more; its audit log answers, and is read on'
        : 'it is no longer listed, and its audit log refuses access';
      const more = { count: these.length, since: instant(these[0]?.goneAt) };
      return made('vanished', 'vanished', `${listOf(names, names.length)}: ${how}`, more);
    },
  );

const sinkCauses = (sink: SinkStatus): readonly Cause[] => {
  const { name, position, failures, lastError, lagEvents, lastSuccessAt } = sink;
  const more = { about: name, since: instant(lastSuccessAt) };
  switch (sinkState(sink)) {
    case 'failing': {
      const where = `is stuck after position ${position}, ${failures} failures in a row, ${lagEvents} events wait`;
      const action = kinds.sink_failing[1].replace('NAME', name);
      return [
        made('sink_failing', 'failing', `the sink ${name} ${where}: ${lastError ?? 'no reason known'}`, {
          ...more,
          action,
        }),
      ];
    }
    case 'behind':
      return [made('sink_behind', 'behind', `the sink ${name} is behind: ${lagEvents} events wait`, more)];
    default:
      return [];
  }
};

const retentionCauses = ({ status: { retentionWait: wait }, archive }: CauseFacts): readonly Cause[] => {
  const { waitingMonths = 0, faultyObjects = 0 } = archive ?? {};
  const kept = `months that have been older than ORGTRAIL_RETENTION for two days are still in the database: ${waitingMonths}`;
  const faulty = `objects of the archive are not what was written: ${faultyObjects}`;
  return [
    ...(wait === undefined
      ? []
      : [made('retention_waits', 'ok', `retention drops nothing before ${wait.until}: ${wait.reason}`)]),
    ...(waitingMonths === 0 ? [] : [made('retention_held_up', 'ok', kept, { count: waitingMonths })]),
    ...(faultyObjects === 0 ? [] : [made('archive_faulty', 'failing', faulty, { count: faultyObjects })]),
  ];
};

const evidenceCauses = ({ evidence, nowMs }: CauseFacts): readonly Cause[] => {
  if (evidence === undefined) return [];
  if (isStopped(evidence)) {
    const { state, stateReason, signedSecondsAgo: ago } = evidence;
    const what = `evidence is no longer signed (${state}): ${stateReason ?? 'no reason known'}`;
    const name = state === 'no key' ? 'evidence_no_key' : (`evidence_${state}` as const);
    return [made(name, 'failing', what, { since: ago === null ? null : instant(nowMs - ago * 1_000) })];
  }
  if (evidence.state !== 'ok' || !isUnanchored(evidence)) return [];
  const what = 'no anchor has a checkpoint of the evidence: a user who alters the database could sign it again';
  return [made('evidence_unanchored', 'ok', what)];
};
