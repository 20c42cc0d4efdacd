import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SimulatorOptions } from '../../../src/simulator/simulator-options.ts';
import { createLogin, type Login } from '../accounts/login.ts';
import { openWorld, type SyncWorld } from '../sync/sync-world.ts';

type Env = Readonly<Record<string, string>>;

/** A world, and the settings of daemons in it that sign what they store. */
export interface SigningWorld extends AsyncDisposable {
  readonly world: SyncWorld;
  /** A member of the two roles that a daemon needs. */
  readonly login: Login;
  /** Where the key is, and whatever else the test makes. */
  readonly folder: string;
  /** Of a daemon, and of an operator: the account that owns the schema. */
  readonly env: Env;
  readonly operator: Env;
}

export const openSigningWorld = async (options: SimulatorOptions, settings: Env = {}): Promise<SigningWorld> => {
  const world = await openWorld(options, { ORGTRAIL_SETTLE: 'none', ...settings });
  const login = await createLogin(world.database, ['orgtrail_ingest', 'orgtrail_evidence']);
  const folder = await mkdtemp(join(tmpdir(), 'orgtrail-evidence-'));
  const env = {
    ...world.env,
    DATABASE_URL: login.url,
    ORGTRAIL_LEASE: '2s',
    ORGTRAIL_EVIDENCE_ORIGIN: 'audit.example.com/evidence',
    ORGTRAIL_EVIDENCE_KEY_FILE: join(folder, 'key.pem'),
    ORGTRAIL_EVIDENCE_INTERVAL: '1s',
  };
  return {
    world,
    login,
    folder,
    env,
    operator: { ...env, DATABASE_URL: world.database.url },
    [Symbol.asyncDispose]: async () => {
      await login[Symbol.asyncDispose]();
      await world[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
};
