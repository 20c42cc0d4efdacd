import { keyOf, type SourceKey } from '../../ingest/planning/source.ts';
import { kindOf } from '../../ingest/sources/registry.ts';
import type { SyncObserver } from '../../ingest/sync/ports.ts';
import { formatDuration } from '../../time/duration.ts';
import type { CliContext } from '../cli-context.ts';
import { counted, countedSources } from './counted.ts';

/** In a pipe, a line at most this often; on a terminal one line is redrawn. */
const PIPE_INTERVAL_MS = 2_000;
const TERMINAL_INTERVAL_MS = 100;

export interface Progress {
  readonly observer: SyncObserver;
  /** Entries stored so far. */
  readonly stored: () => number;
  /** Writes the last state and ends the line. */
  finish(): void;
}

/** Keeps a line about long work up to date: redrawn on a terminal, now and then a new one elsewhere. */
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

/** Shows how far a sync is: organizations, events, rate, what is left. Used by `sync`, `backfill` and `demo`. */
export const showProgress = (context: Pick<CliContext, 'stdout' | 'interactive'>): Progress => {
  const startedAt = performance.now();
  const left = new Map<string, SourceKey>();
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
      `${accounts.size === 0 ? `${left.size.toLocaleString('en')} organizations` : countedSources([...left.values()])} left`,
      formatDuration(seconds * 1_000),
    ];
    if (failing.size > 0) parts.splice(5, 0, `${failing.size} failing`);
    return parts.join(' · ');
  };
  const leave = (source: SourceKey): void => {
    left.set(keyOf(source), source);
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
