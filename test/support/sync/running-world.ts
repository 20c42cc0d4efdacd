import { cycleUntilClean, openWorld, type SyncRun, type SyncWorld } from './sync-world.ts';

/** A world with the application open in it, which it closes first. */
export type RunningWorld = SyncWorld & SyncRun;

type Open = SyncWorld['open'];

export const openRunning = async (
  options: Parameters<typeof openWorld>[0] = {},
  env: Parameters<typeof openWorld>[1] = {},
  observer: Parameters<Open>[1] = {},
  more: Parameters<Open>[2] = {},
): Promise<RunningWorld> => {
  const world = await openWorld(options, env);
  const run = await world.open({}, observer, more);
  return {
    ...world,
    ...run,
    [Symbol.asyncDispose]: async () => {
      await run.close();
      await world[Symbol.asyncDispose]();
    },
  };
};

/** Cycles until one ends without a failure; what a failed source would rest is skipped. */
export const untilClean = (world: RunningWorld, most?: number) => cycleUntilClean(world, world, most);
