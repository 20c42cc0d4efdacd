import type { Coverage } from '../../planning/coverage.ts';
import type { LaneState } from '../../planning/lane.ts';
import { againSinceMs, scrubFacts } from '../../planning/planner.ts';
import { isRoundThrough } from '../../planning/scrub.ts';
import type { PageCounts } from '../../planning/source.ts';
import { kindPolicyOf } from '../kind-policy.ts';
import type { Turn } from './turn-state.ts';

/** Keeps what a page of the scrub lane showed with the result of its round. `claims`: the time that was read to its end with it. */
export const noteRound = async (
  { context, source, job, progress }: Turn,
  entries: number,
  { covered, changed }: Pick<PageCounts, 'covered' | 'changed'>,
  { state, claims }: { readonly state: LaneState | undefined; readonly claims: readonly Coverage[] },
): Promise<void> => {
  const round = state?.walk?.round ?? state?.round;
  if (job.lane !== 'scrub' || round === undefined) return;
  const [read = []] = claims;
  if (entries === 0 && read.length === 0) return;
  const horizonMs = againSinceMs(job.policy);
  await context.store.noteScrub({
    source: { kind: source.kind, id: source.id },
    filterHash: kindPolicyOf(context, source).filterHash,
    round: { number: round.number, beganMs: round.beganMs, untilMs: round.untilMs },
    sinceMs: horizonMs,
    entries,
    missing: covered.reduce((sum, each) => sum + each.entries, 0),
    changed,
    seconds: read.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0) / 1_000,
    ended: read.length > 0 && isRoundThrough(scrubFacts(progress), horizonMs),
  });
};
