import type { Writable } from 'node:stream';
import { counted } from '../../base/text.ts';
import { formatDuration } from '../../base/time.ts';
import { keyOf, type SourceKey } from '../../ingest/planning/source.ts';
import { kindOf } from '../../ingest/sources/registry.ts';
import type { SyncObserver } from '../../ingest/sync/ports.ts';
import { countedOwners } from '../../status/source-state.ts';
import type { CliContext } from '../command.ts';

/** A line in a pipe at most this often; a terminal redraws one line. */
const PIPE_INTERVAL_MS = 2_000;
const TERMINAL_INTERVAL_MS = 100;

/** Redrawn on a terminal, now and then a new line elsewhere. */
export const drawLine = (
  context: Pick<CliContext, 'stdout' | 'interactive'>,
  line: () => string,
): { draw: (force: boolean) => void; finish: () => void } => {
  let drawnAt = Number.NEGATIVE_INFINITY;
  let drawn = '';
  const draw = (force: boolean): void => {
    const nowMs = performance.now();
    const interval = context.interactive ? TERMINAL_INTERVAL_MS : PIPE_INTERVAL_MS;
    if (!force && nowMs - drawnAt < interval) return;
    drawnAt = nowMs;
    const text = line();
    if (context.interactive) context.stdout.write(`\r\u001b[2K${text}`);
    else if (text !== drawn) context.stdout.write(`${text}\n`);
    drawn = text;
  };
  return {
    draw,
    finish: () => {
      draw(true);
      if (context.interactive) context.stdout.write('\n');
    },
  };
};

export const showProgress = (
  context: Pick<CliContext, 'stdout' | 'interactive'>,
): { readonly observer: SyncObserver; readonly stored: () => number; readonly finish: () => void } => {
  const startedAt = performance.now();
  const left = new Set<string>();
  const accounts = new Set<string>();
  const failing = new Set<string>();
  let organizations = 0;
  let stored = 0;
  let known = 0;

  const line = (): string => {
    const seconds = Math.max(0.001, (performance.now() - startedAt) / 1_000);
    const parts = [
      `${organizations.toLocaleString('en')} organizations${accounts.size === 0 ? '' : `, ${counted(accounts.size, 'account')}`}`,
      `${stored.toLocaleString('en')} events stored`,
      `${known.toLocaleString('en')} known`,
      `${Math.round(stored / seconds).toLocaleString('en')}/s`,
      `${counted(left.size, 'log')} left`,
      formatDuration(seconds * 1_000),
    ];
    if (failing.size > 0) parts.splice(5, 0, `${failing.size} failing`);
    return parts.join(' · ');
  };
  const leave = (source: SourceKey): void => {
    left.add(keyOf(source));
    if (kindOf(source).owner === 'account') accounts.add(source.id);
  };
  const { draw, finish } = drawLine(context, line);
  return {
    observer: {
      discovered: (event) => {
        organizations = event.organizations;
        draw(false);
      },
      pageCommitted: (page) => {
        stored += page.stored;
        known += page.duplicates;
        failing.delete(keyOf(page.source));
        leave(page.source);
        draw(false);
      },
      sourceSettled: ({ source }) => {
        left.delete(keyOf(source));
        failing.delete(keyOf(source));
        draw(false);
      },
      sourceFailed: ({ source }) => {
        failing.add(keyOf(source));
        draw(false);
      },
      jobsPlanned: ({ due }) => {
        for (const source of due) leave(source);
        draw(true);
      },
    },
    stored: () => stored,
    finish,
  };
};

/** `30 organizations`, with accounts `30 organizations, 90 accounts`, or `90 accounts`. */
export const countedSources = (sources: readonly { readonly kind: string }[]): string => {
  const accounts = sources.filter(({ kind }) => kindOf({ kind }).owner === 'account').length;
  return countedOwners({ organizations: sources.length - accounts, accounts });
};

export const written = (stdout: Writable, lines: string | Uint8Array): Promise<void> =>
  new Promise((resolve, reject) => {
    stdout.write(lines, (error) => (error ? reject(error) : resolve()));
  });

/** Shorter work needs no line. */
const QUIET_MS = 2_000;

/** A line on stderr about long work. */
export const showWork = (context: Pick<CliContext, 'stderr' | 'interactive'>) => {
  const startedAt = performance.now();
  let line = '';
  const { draw, finish } = drawLine({ stdout: context.stderr, interactive: context.interactive }, () => line);
  let isShown = false;
  return {
    /** Such as "verifying: 1,200 MB", "writing: 5,000 of 10,000 positions". */
    at: (what: string, done: number, unit: string, all?: number): void => {
      if (performance.now() - startedAt < QUIET_MS) return;
      isShown = true;
      const ofAll = all === undefined ? '' : ` of ${all.toLocaleString('en')}`;
      line = `${what}: ${Math.round(done).toLocaleString('en')}${ofAll} ${unit}`;
      draw(false);
    },
    finish: () => {
      if (isShown) finish();
    },
  };
};
