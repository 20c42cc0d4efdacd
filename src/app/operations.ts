import { readAccessPage } from '../access/access-log-page.sql.ts';
import { readTokenOverview } from '../access/token-overview.sql.ts';
import { readArchiveOverview } from '../archive/archive-overview.sql.ts';
import type { Config } from '../config/config.ts';
import { readEventMarks } from '../findings/event-marks.sql.ts';
import { listFindings } from '../findings/list-findings.sql.ts';
import { muteDetection, readMutes, unmuteDetection } from '../findings/mutes.sql.ts';
import type { OperationsSource, ShownSink } from '../http/console/operations/operations-source.ts';
import type { Pool } from '../postgres/pool.ts';
import { isRefusal } from '../postgres/sql-state.ts';
import { readHolds } from '../retention/holds.sql.ts';
import { readDeadLetterPage } from '../sinks/dead-letter-page.sql.ts';
import { planReplay } from '../sinks/replay/plan-replay.ts';
import { readReplayer, replaySink } from '../sinks/replay/replay-sink.sql.ts';
import { readSinkStatus, type SinkStatus } from '../sinks/sink-status.sql.ts';
import { readScrubRounds, readScrubTotals, readVerifyRuns } from '../status/checks/checks.sql.ts';

interface OperationsParts {
  readonly config: Config;
  readonly pool: Pool;
  /** What may take seconds. */
  readonly slowPool: Pool;
  /** How the configured sinks stand. */
  sinks(): Promise<readonly SinkStatus[]>;
}

/** Joins what the rooms know to what the console's pages of operation show. */
export const openOperations = ({ config, pool, slowPool, sinks }: OperationsParts): OperationsSource => ({
  findings: (asked, signal) => listFindings(slowPool, asked, signal),
  mutes: () => readMutes(pool),
  mute: (wanted) => muteDetection(pool, wanted),
  unmute: (id, by) => unmuteDetection(pool, id, by),
  marks: (events) => readEventMarks(slowPool, events),
  sinks: async () => [...(await configuredSinks(config, sinks)), ...(await formerSinks(config, pool))],
  holds: () => readHolds(pool),
  accessLog: (asked) => readAccessPage(slowPool, asked),
  tokens: () => readTokenOverview(pool),
  archive: async () => ({
    ...(await readArchiveOverview(pool, config.retentionMs)),
    configured: config.archive?.target.name,
    retentionMs: config.retentionMs,
  }),
  verifyRuns: (asked) => readVerifyRuns(pool, asked),
  scrubRounds: (asked) => readScrubRounds(pool, asked),
  scrubTotals: () => readScrubTotals(pool),
  deadLetters: (sink, page) => readDeadLetterPage(pool, sink, page),
  planReplay: (sink, after) => planReplay(pool, sink, { after, hasArchive: config.archive !== undefined }),
  replayer: (proof) => readReplayer(pool, proof),
  replay: (sink, after, session) => replaySink(pool, sink, after, session),
});

const configuredSinks = async (config: Config, sinks: OperationsParts['sinks']): Promise<readonly ShownSink[]> => {
  const streams = new Map(config.sinks.map(({ name, settings }) => [name, settings.events]));
  return (await sinks()).map((sink) => ({ ...sink, sends: streams.get(sink.name) ?? 'entries' }));
};

/** What the database refuses to tell shows at those that are configured. */
const formerSinks = async (config: Config, pool: Pool): Promise<readonly ShownSink[]> => {
  const configured = new Set(config.sinks.map(({ name }) => name));
  const all = await readSinkStatus(pool, undefined).catch((error: unknown) => {
    if (isRefusal(error)) return [];
    throw error;
  });
  return all.filter(({ name }) => !configured.has(name)).map((sink) => ({ ...sink, sends: undefined }));
};
