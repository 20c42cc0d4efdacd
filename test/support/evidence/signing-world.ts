import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { SimulatorOptions } from '../../../src/simulator/options.ts';
import { createLogin, type Login } from '../accounts/login.ts';
import { until } from '../process/until.ts';
import { openWorld, type SyncWorld } from '../sync/sync-world.ts';

type Env = Readonly<Record<string, string>>;

interface Signed {
  readonly isSigned: boolean;
  readonly events: number;
  readonly number: number;
  readonly note: string;
}

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
  /** New entries in each organization. */
  grow(count: number): void;
  /** Resolves once all events that are stored are signed, if they are so many, by so many keys, in this log. */
  untilSigned(wanted?: { atLeast?: number; events?: number; keys?: number; number?: number }): Promise<void>;
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
    grow: (count) => {
      for (const { id } of world.simulator.summary().organizations) world.simulator.generate(id, count);
    },
    untilSigned: ({ atLeast = 1, ...wanted } = {}) =>
      until('all that is stored is signed', async () => {
        const { rows } = await world.database.pool.query<Signed>(
          `select h.position::float8 as events, l.signed_position = h.position as "isSigned", l.number, c.note
           from feed_head h, evidence_log l join evidence_checkpoints c on c.size = l.signed_size`,
        );
        if (rows[0]?.isSigned !== true || rows[0].events < atLeast) return false;
        const { events, number, note } = rows[0];
        const keys = note.match(/^— /gm)?.length;
        return isDeepStrictEqual({ events, keys, number, ...wanted }, { events, keys, number });
      }),
    [Symbol.asyncDispose]: async () => {
      await login[Symbol.asyncDispose]();
      await world[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
};
