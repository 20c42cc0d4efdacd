import { setTimeout as sleep } from 'node:timers/promises';
import { type Comparison, isExact } from '../../../src/cli/demo/compare-with-truth.sql.ts';
import type { Probe } from './probe.ts';
import type { OutageWorld } from './world.ts';

/** The phases of a run, in order; what is sampled and reported belongs to one of them. */
const phases = ['healthy', 'refused', 'silent', 'reset', 'catching up', 'recovered', 'block', 'after block'] as const;
export type Phase = (typeof phases)[number];
export const outagePhases: readonly Phase[] = ['refused', 'silent', 'reset'];

/** What a run came to, beside the samples. */
export interface Course {
  readonly outageMs: number;
  readonly blockMs: number;
  /** From the end of the outage until all of before its end was stored; undefined: not within the timeout. */
  readonly caughtUpMs: number | undefined;
  /** The same after the block. */
  readonly caughtUpAfterBlockMs: number | undefined;
  /** Requests in the first two seconds of the block, which were on their way, and in the rest of it. */
  readonly requestsAtBlock: number;
  readonly requestsWithinBlock: number;
  /** Entries that came into being during the outage. */
  readonly backlog: number;
  readonly comparison: Comparison;
}

export interface Plan {
  readonly outageMs: number;
  readonly blockMs: number;
}

const HEALTHY_MS = 120_000;
/** Longer than a source ever rests. */
const CATCH_UP_TIMEOUT_MS = 20 * 60_000;
/** Longer than alerts take to resolve: two evaluations and a scrape. */
const RECOVERED_MS = 60_000;
/** Late entries of the simulator, two ticks, and time to read. */
const EXACT_TIMEOUT_MS = 180_000;
const IN_FLIGHT_MS = 2_000;

type Tell = (text: string) => void;

/** Lives through the phases. Rejects where the signal aborts. */
export const liveThrough = async (
  world: OutageWorld,
  probe: Probe,
  plan: Plan,
  { tell, signal }: { readonly tell: Tell; readonly signal: AbortSignal },
): Promise<Course> => {
  const pause = (ms: number) => sleep(ms, undefined, { signal });
  const enter = async (phase: Phase) => {
    tell(phase);
    await probe.enter(phase);
  };
  await enter('healthy');
  await pause(Math.min(HEALTHY_MS, Math.max(45_000, plan.outageMs / 4)));

  const before = world.simulator.summary().entries;
  for (const [mode, share] of [
    ['refused', 0.5],
    ['silent', 0.25],
    ['reset', 0.25],
  ] as const) {
    await world.gate.setMode(mode);
    await enter(mode);
    await pause(plan.outageMs * share);
  }
  const { entries, nowMs } = world.simulator.summary();
  await world.gate.setMode('open');
  await enter('catching up');
  const caughtUpMs = await untilStored(world, nowMs, pause);
  await enter('recovered');
  await pause(RECOVERED_MS);

  await enter('block');
  const block = await liveThroughBlock(world, plan.blockMs, pause);
  await enter('after block');
  const caughtUpAfterBlockMs = await untilStored(world, block.endedAtMs, pause);
  world.endStream();
  const comparison = await untilExact(world, pause);
  await pause(RECOVERED_MS);
  await enter('after block');
  const { requestsAtBlock, requestsWithinBlock } = block;
  return {
    ...plan,
    caughtUpMs,
    caughtUpAfterBlockMs,
    requestsAtBlock,
    requestsWithinBlock,
    comparison,
    backlog: entries - before,
  };
};

type Pause = (ms: number) => Promise<void>;

/** Waits until everything of up to `untilMs` is stored; returns how long that took. */
const untilStored = async (world: OutageWorld, untilMs: number, pause: Pause): Promise<number | undefined> => {
  const startedAt = performance.now();
  while (performance.now() - startedAt < CATCH_UP_TIMEOUT_MS) {
    if ((await world.compare(untilMs)).missing === 0) return performance.now() - startedAt;
    await pause(1_000);
  }
  return undefined;
};

const untilExact = async (world: OutageWorld, pause: Pause): Promise<Comparison> => {
  const giveUpAt = performance.now() + EXACT_TIMEOUT_MS;
  for (;;) {
    const comparison = await world.compare();
    if (isExact(comparison) || performance.now() > giveUpAt) return comparison;
    await pause(1_000);
  }
};

/** From the first 429 on, everything is answered with 429 for as long as its Retry-After says. */
const liveThroughBlock = async (world: OutageWorld, blockMs: number, pause: Pause) => {
  const { simulator } = world;
  const times: number[] = [];
  const first = Promise.withResolvers<void>();
  const end = simulator.onRequest(() => {
    times.push(performance.now());
    first.resolve();
  });
  simulator.faults.set({ throttled: 1, retryAfterSeconds: blockMs / 1_000 });
  await Promise.race([first.promise, pause(120_000)]);
  await pause(blockMs);
  const endedAtMs = simulator.summary().nowMs;
  simulator.faults.set({ throttled: null });
  end();
  const startMs = times[0] ?? 0;
  // What comes at the very end comes after the block: the daemon counts from when it heard of it.
  const within = times.filter((timeMs) => timeMs < startMs + blockMs);
  const requestsAtBlock = within.filter((timeMs) => timeMs < startMs + IN_FLIGHT_MS).length;
  return { endedAtMs, requestsAtBlock, requestsWithinBlock: within.length - requestsAtBlock };
};
