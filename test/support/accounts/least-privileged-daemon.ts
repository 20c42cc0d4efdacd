import { migrateDatabase } from '../../../src/postgres/schema/migrate.ts';
import type { SimulatorOptions } from '../../../src/simulator/options.ts';
import { openWorld, type SyncRun, type SyncWorld } from '../sync/sync-world.ts';
import { createLogin } from './login.ts';

/** An application that is opened with no more rights than a member of orgtrail_ingest, all events stored. */
export interface LeastPrivilegedRun extends AsyncDisposable {
  readonly world: SyncWorld;
  readonly run: SyncRun;
  /** The environment of commands that an owner of the schema runs. */
  readonly ownerEnv: Readonly<Record<string, string>>;
  /** As the application is opened, once more: another replica. */
  open(): Promise<SyncRun>;
}

export const openLeastPrivilegedRun = async (
  options: SimulatorOptions = {},
  env: Readonly<Record<string, string>> = {},
): Promise<LeastPrivilegedRun> => {
  const stack = new AsyncDisposableStack();
  const world = stack.use(await openWorld(options));
  await migrateDatabase(world.database.pool, { roles: true });
  const login = stack.use(await createLogin(world.database, ['orgtrail_ingest']));
  const open = async () => stack.use(await world.open({ DATABASE_URL: login.url, ...env }));
  const run = await open();
  await run.cycle();
  return { world, run, open, ownerEnv: world.ownerEnv, [Symbol.asyncDispose]: () => stack.disposeAsync() };
};
