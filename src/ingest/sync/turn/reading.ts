import { isWithin } from '../../planning/coverage.ts';
import { SCRUB_PASS } from '../../planning/scrub.ts';
import type { Reading } from '../../planning/source.ts';
import type { Walk } from '../../planning/walk.ts';
import type { Turn } from './turn.ts';

/** The pass that a window is read for. */
export const passOf = ({ job, progress }: Pick<Turn, 'job' | 'progress'>, claim: Walk['claim']): number => {
  if (job.lane === 'scrub') return SCRUB_PASS;
  if (job.lane !== 'settle') return 0;
  const lacking = progress.coverage.findIndex(
    (ranges, pass) => pass > 0 && !ranges.some((each) => isWithin(claim, each)),
  );
  return lacking === -1 ? progress.coverage.length : lacking;
};

/** What is kept of a walk that has been read to its end, for who asks when and how its time was proven. */
export const readingOf = (turn: Pick<Turn, 'job' | 'progress'>, { claim, direction, round }: Walk): Reading => {
  if (round !== undefined) return { range: claim, direction, method: 'scrub', number: round.number };
  const pass = passOf(turn, claim);
  return { range: claim, direction, method: pass === 0 ? 'first reading' : 'pass', number: pass };
};
