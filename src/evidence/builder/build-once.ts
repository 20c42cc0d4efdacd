import { LeaseLostError } from '../../postgres/leases/keep-lease.ts';
import { LeaseRefused, leasedRun } from '../../postgres/leases/leased-run.ts';
import type { Time } from '../../time/clock.ts';
import type { Builder, HeldClaim, StepResult } from './builder.ts';
import type { Claim, EvidenceStore } from './ports.ts';

/**
 * Builds and signs until nothing is left to do, or nothing can be done; called by commands. Undefined: another process builds, or took
 * over.
 */
export const buildOnce = async (
  builder: Builder,
  { store, time, leaseMs }: { readonly store: EvidenceStore; readonly time: Time; readonly leaseMs: number },
): Promise<'done' | 'stopped' | undefined> => {
  const { generation } = await builder.open();
  const result = await leasedRun<Claim, undefined, StepResult['kind']>(
    { time, leaseMs },
    {
      claim: async () => {
        const claimed = await store.claim(generation);
        return 'epoch' in claimed ? claimed : new LeaseRefused(undefined);
      },
      renew: (claim) => store.renew(claim),
      release: (claim) => store.release(claim),
      run: async (claim, kept) => {
        const held: HeldClaim = { ...claim, throwIfLost: () => kept.throwIfLost() };
        for (;;) {
          held.throwIfLost();
          const { kind } = await builder.step(held);
          if (kind !== 'more') return kind;
        }
      },
    },
  );
  if (result instanceof LeaseRefused || result instanceof LeaseLostError) return undefined;
  return result === 'stopped' ? 'stopped' : result === 'done' ? 'done' : undefined;
};
