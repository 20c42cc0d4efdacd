import type { SourceKey } from '../../ingest/planning/source.ts';
import type { VerifyOptions } from '../../ingest/verify/ports.ts';
import type { Findings } from '../../ingest/verify/verification.ts';
import { formatDuration } from '../../time/duration.ts';
import type { CliContext } from '../cli-context.ts';
import { countedSources } from './counted.ts';
import { drawLine } from './progress.ts';

export interface VerifyProgress extends Pick<VerifyOptions, 'onPage' | 'onSource'> {
  /** Writes the last state and ends the line. */
  finish(): void;
}

/** Shows how far a verification is. */
export const showVerifyProgress = (
  context: Pick<CliContext, 'stdout' | 'interactive'>,
  sources: readonly SourceKey[],
): VerifyProgress => {
  const startedAt = performance.now();
  const all = new Set<Findings>();
  let done = 0;
  let read = 0;
  const line = (): string => {
    const sum = { compared: 0, missing: 0, changed: 0, extra: 0 };
    for (const findings of all) {
      sum.compared += findings.compared;
      sum.missing += findings.missing.entries;
      sum.changed += findings.changed.entries;
      sum.extra += findings.extra;
    }
    return [
      `${done.toLocaleString('en')} of ${countedSources(sources)}`,
      `${read.toLocaleString('en')} entries read`,
      ...Object.entries(sum).map(([name, count]) => `${count.toLocaleString('en')} ${name}`),
      formatDuration(performance.now() - startedAt),
    ].join(' · ');
  };
  const { draw, finish } = drawLine(context, line);
  return {
    onPage: (_source, entries, findings) => {
      all.add(findings);
      read += entries;
      draw(false);
    },
    onSource: () => {
      done += 1;
      draw(false);
    },
    finish,
  };
};
