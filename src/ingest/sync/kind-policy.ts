import type { PlanPolicy } from '../planning/planner.ts';
import type { KindPolicy, SourceKey } from '../planning/source.ts';
import type { SyncContext } from './ports.ts';

/** How the sources of this one's kind are read. Throws for a kind that is not: none of its sources is planned. */
export const kindPolicyOf = ({ kinds }: Pick<SyncContext, 'kinds'>, { kind }: Pick<SourceKey, 'kind'>): KindPolicy => {
  const policy = kinds.find((each) => each.kind === kind);
  if (policy === undefined) throw new Error(`sources of the kind "${kind}" are not read`);
  return policy;
};

/** The policy of a plan for each source: all is the same for all, but for the time from which a kind is wanted. */
export const planPolicies = (
  context: Pick<SyncContext, 'kinds' | 'window'>,
  nowMs: number,
  common: Omit<PlanPolicy, 'horizonMs' | 'keptSinceMs'>,
): ((source: Pick<SourceKey, 'kind'>) => PlanPolicy) => {
  const policies = new Map(
    context.kinds.map(({ kind, horizonMs, keptSinceMs }) => [
      kind,
      { ...common, horizonMs: context.window?.sinceMs ?? horizonMs(nowMs), keptSinceMs: keptSinceMs?.(nowMs) },
    ]),
  );
  return ({ kind }) => {
    const policy = policies.get(kind);
    if (policy === undefined) throw new Error(`sources of the kind "${kind}" are not read`);
    return policy;
  };
};
