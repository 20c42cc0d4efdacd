import type { CliContext } from '../cli-context.ts';
import { drawLine } from '../output/progress.ts';

/** What is done in less time needs no line. */
const QUIET_MS = 2_000;

/** A line on stderr about long work. */
export interface WorkLine {
  /** For example "verifying: 1,200 MB", "writing: 5,000 of 10,000 positions". */
  at(what: string, done: number, unit: string, all?: number): void;
  /** Ends the line, if there is one. */
  finish(): void;
}

export const showWork = (context: Pick<CliContext, 'stderr' | 'interactive'>): WorkLine => {
  const startedAt = performance.now();
  let line = '';
  const { draw, finish } = drawLine({ stdout: context.stderr, interactive: context.interactive }, () => line);
  let isShown = false;
  return {
    at: (what, done, unit, all) => {
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
