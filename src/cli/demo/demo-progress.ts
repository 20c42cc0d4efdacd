import { setTimeout as sleep } from 'node:timers/promises';
import { pausesOf, sourceHealth } from '../../status/health.ts';
import type { Status } from '../../status/status.sql.ts';
import { formatDuration } from '../../time/duration.ts';
import type { CliContext } from '../cli-context.ts';
import { counted, countedSources } from '../output/counted.ts';
import { drawLine } from '../output/progress.ts';

/** While history is read; afterwards little changes but the number of events. */
const LOOK_EVERY_MS = 1_000;
/** In a pipe each look that is shown is a line of its own. */
const SETTLED_PIPE_EVERY_MS = 15_000;

export interface DemoProgress {
  /** Writes the last state and ends the line. */
  finish(): Promise<void>;
}

/** Shows how many organizations and accounts are up to date, as the console has it, and how many events are stored. */
export const showDemoProgress = (
  context: Pick<CliContext, 'stdout' | 'interactive'>,
  readStatus: () => Promise<Status>,
  settings: { readonly tickMs: number; readonly apiBudget: number },
): DemoProgress => {
  const startedAt = performance.now();
  const stop = new AbortController();
  let latest: Status | undefined;
  const { draw, finish } = drawLine(context, () => progressLine(latest, settings, performance.now() - startedAt));
  const looking = (async () => {
    while (!stop.signal.aborted) {
      // A database that does not answer is the daemon's to report.
      latest = await readStatus().catch(() => latest);
      draw(false);
      const settled = latest !== undefined && isSettled(latest, settings);
      const everyMs = settled && !context.interactive ? SETTLED_PIPE_EVERY_MS : LOOK_EVERY_MS;
      await sleep(everyMs, undefined, { signal: stop.signal }).catch(() => {});
    }
  })();
  return {
    finish: async () => {
      if (stop.signal.aborted) return await looking;
      stop.abort();
      await looking;
      finish();
    },
  };
};

type Settings = Parameters<typeof pausesOf>[0];

const countUpToDate = ({ sources }: Status, settings: Settings): number => {
  const pauses = pausesOf(settings, sources.length);
  return sources.filter((source) => ['fresh', 'quiet'].includes(sourceHealth(source, pauses))).length;
};

const isSettled = (status: Status, settings: Settings): boolean =>
  status.sources.length > 0 && countUpToDate(status, settings) === status.sources.length;

/** `6 organizations, 12 accounts up to date · 30,412 events · 1m 4s`; as long as some are not, `9 of 18 logs up to date · …`. */
export const progressLine = (status: Status | undefined, settings: Settings, elapsedMs: number): string => {
  if (status === undefined || status.sources.length === 0) return `starting · ${formatDuration(elapsedMs)}`;
  const { sources } = status;
  const which = isSettled(status, settings)
    ? countedSources(sources)
    : `${countUpToDate(status, settings)} of ${counted(sources.length, 'log')}`;
  return [`${which} up to date`, `${status.position.toLocaleString('en')} events`, formatDuration(elapsedMs)].join(
    ' · ',
  );
};
