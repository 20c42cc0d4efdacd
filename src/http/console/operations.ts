import type { ArchiveOverview } from '../../archive/archive-status.sql.ts';
import type { Hold } from '../../archive/holds.sql.ts';
import type { AskedFindings, EventMark, FindingList } from '../../sinks/findings/list-findings.sql.ts';
import type { DetectionMute, WantedMute } from '../../sinks/findings/mutes.sql.ts';
import type { SinkStream } from '../../sinks/ports.ts';
import type { NoReplay, ReplayPlan, ReplaySession } from '../../sinks/replay.sql.ts';
import type { DeadLetterPage, SinkStatus } from '../../sinks/sink-status.sql.ts';
import type { AskedChecks, CheckPage, ScrubRoundResult, ScrubTotals, VerifyRun } from '../../status/checks.sql.ts';
import type { AccessPage, AskedAccess } from '../access/access-log.sql.ts';
import type { TokenOverview } from '../access/tokens.sql.ts';
import { type Html, html } from './html.ts';
import { pagesBeside } from './page.ts';

export interface ShownSink extends SinkStatus {
  /** Undefined: it is not configured any more, and nothing delivers to it. */
  readonly sends: SinkStream | undefined;
}

export interface ShownArchive extends ArchiveOverview {
  /** Undefined: none. */
  readonly configured: string | undefined;
  /** Infinity: everything is kept. */
  readonly retentionMs: number;
}

/** What the pages of operation are made from. Each rejects if the database does not answer. */
export interface OperationsSource {
  /** What the detections find. Rejects with SearchError `timeout` if that takes too long. */
  findings(asked: AskedFindings, signal: AbortSignal): Promise<FindingList>;
  /** Those in force, the newest first. */
  mutes(): Promise<readonly DetectionMute[]>;
  /** Its number; undefined if the same is muted already. */
  mute(wanted: WantedMute): Promise<number | undefined>;
  /** False if there is none of this number in force. */
  unmute(id: number, by: string): Promise<boolean>;
  /** Which of the events detections name. Undefined: it could not be looked up in time. */
  marks(
    events: readonly { readonly position: number; readonly sortTime: string }[],
  ): Promise<readonly EventMark[] | undefined>;
  /** Its months, and those that are due. */
  archive(): Promise<ShownArchive>;
  /** What of the trail of access the session may see. Rejects with SearchError `timeout` if that takes too long. */
  accessLog(asked: AskedAccess): Promise<AccessPage>;
  /** Every token of the database, and the sessions that they began. */
  tokens(): Promise<TokenOverview>;
  /** Runs of `verify`, newest first. */
  verifyRuns(asked: AskedChecks): Promise<CheckPage<VerifyRun>>;
  /** Rounds of the scrub lane, newest first. */
  scrubRounds(asked: AskedChecks): Promise<CheckPage<ScrubRoundResult>>;
  scrubTotals(): Promise<ScrubTotals>;
  /** Legal holds, released ones too, oldest first. */
  holds(): Promise<readonly Hold[]>;
  /** All that there have been; those that are configured first. */
  sinks(): Promise<readonly ShownSink[]>;
  deadLetters(
    sink: string,
    page: { readonly before: number | undefined; readonly limit: number },
  ): Promise<DeadLetterPage>;
  /** What a replay after this position would do; undefined: what was asked for is no position. */
  planReplay(sink: string, after: number | undefined): Promise<ReplayPlan | NoReplay>;
  /** The name of the token by which the session of this proof may replay sinks; undefined: it may not. */
  replayer(proof: Buffer): Promise<string | undefined>;
  /** Sets a sink back. False, with nothing changed, if it would go forward. Rejects with OrgtrailError `configuration` if the session may not. */
  replay(sink: string, after: number, session: ReplaySession): Promise<boolean>;
}

export const OPERATIONS_PATH = '/sinks';

const pages = [
  { href: '/sinks', name: 'Sinks' },
  { href: '/holds', name: 'Legal holds' },
  { href: '/archive', name: 'Archive' },
  { href: '/access-tokens', name: 'Tokens' },
  { href: '/access-log', name: 'Access log' },
  { href: '/checks', name: 'Checks' },
] as const;

type OperationsPath = (typeof pages)[number]['href'];

export const operationsMenu = (current: OperationsPath): Html =>
  pagesBeside(
    'Operation',
    pages.map(({ href, name }) => ({ href, name, isCurrent: current === href })),
  );

export const operationsHead = (current: OperationsPath, title: string): Html =>
  html`${operationsMenu(current)}<div class="row between"><h1>${title}</h1><p class="muted live" data-connection-note role="status"></p></div>`;
