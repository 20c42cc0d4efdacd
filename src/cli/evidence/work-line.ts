import type { CliContext } from '../cli-context.ts';
import { drawLine } from '../output/progress.ts';

/** What is done in less time needs no line. */
const QUIET_MS = 2_000;

/** A line on stderr about long work. */
export interface WorkLine {
  /** `done` of `all`, in thousands of what they count if they are many. */
  at(what: string, done: number, all: number, unit: string): void;
  /** Ends the line, if there is one. */
  finish(): void;
}

export const showWork = (context: Pick<CliContext, 'stderr' | 'interactive'>): WorkLine => {
  const startedAt = performance.now();
  let line = '';
  const { draw, finish } = drawLine({ stdout: context.stderr, interactive: context.interactive }, () => line);
  let isShown = false;
  return {
    at: (what, done, all, unit) => {
      if (performance.now() - startedAt < QUIET_MS) return;
      isShown = true;
      const percent = all === 0 ? 100 : Math.min(100, Math.floor((100 * done) / all));
      line = `${what}: ${percent} % of ${all.toLocaleString('en')} ${unit}`;
      draw(false);
    },
    finish: () => {
      if (isShown) finish();
    },
  };
};
