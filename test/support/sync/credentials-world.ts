import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../../src/app/config/config.ts';
import { createLiveSecrets, type LiveSecrets } from '../../../src/app/config/live-secrets.ts';
import type { RequestRecord } from '../../../src/simulator/api/api-front.ts';
import type { SimulatorOptions } from '../../../src/simulator/options.ts';
import { openWorld, type SyncRun, type SyncWorld } from './sync-world.ts';

type Kind = 'organization' | 'account';
type Credentials = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** A world whose application has the credentials of a file, which may change while it runs. */
export interface CredentialsWorld extends SyncWorld {
  readonly secrets: LiveSecrets;
  /** What the file says from now on; it is read again at once. */
  setCredentials(credentials: Credentials): void;
  /** The application with these secrets. */
  start(env?: Readonly<Record<string, string>>): Promise<SyncRun>;
  query<T extends object>(sql: string, values?: readonly unknown[]): Promise<readonly T[]>;
  /** Who reads the logs of these, in their order. */
  readers(kind: Kind, owners: readonly { readonly id: string }[]): Promise<readonly (string | null | undefined)[]>;
  /** The owners of the credentials with which a log was read. */
  ownersReading(kind: Kind, id: string): readonly string[];
}

export const openCredentialsWorld = async (
  options: SimulatorOptions,
  credentials: Credentials,
  env: Readonly<Record<string, string>> = {},
): Promise<CredentialsWorld> => {
  const directory = mkdtempSync(join(tmpdir(), 'orgtrail-credentials-'));
  const path = join(directory, 'credentials.json');
  const write = (latest: Credentials) => writeFileSync(path, JSON.stringify(latest), { mode: 0o600 });
  write(credentials);
  const own = { CLOUDFLARE_API_TOKEN: '', CLOUDFLARE_CREDENTIALS_FILE: path, ...env };
  const world = await openWorld(options, own);
  const load = () => loadConfig(world.env, { needsCredential: true, interactive: false });
  const secrets = createLiveSecrets(world.env, load(), { hidden: [] });
  const query = async <T extends object>(sql: string, values: readonly unknown[] = []) =>
    (await world.database.pool.query<T>(sql, [...values])).rows;
  return {
    ...world,
    secrets,
    query,
    setCredentials: (latest) => {
      write(latest);
      secrets.reload();
    },
    start: (more = {}) => world.open(more, {}, { secrets }),
    readers: async (kind, owners) => {
      const rows = await query<{ id: string; credential: string | null }>(
        'select id, credential from sources where kind = $1',
        [kind],
      );
      return owners.map(({ id }) => rows.find((row) => row.id === id)?.credential);
    },
    ownersReading: (kind, id) => [
      ...new Set(
        logRequests(world.simulator.requests(), kind, id)
          .filter(({ status }) => status === 200)
          .map(({ owner }) => owner),
      ),
    ],
    [Symbol.asyncDispose]: async () => {
      await world[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true, force: true });
    },
  };
};

/** Those for the audit log of one owner. */
export const logRequests = (requests: readonly RequestRecord[], kind: Kind, id: string): readonly RequestRecord[] =>
  requests.filter(({ path }) => path.includes(`/${kind}s/${id}/logs/audit`));

/** The owner that the simulator counts the token of an account for. */
export const accountOwner = (token: string): string =>
  `token:${createHash('sha256').update(token).digest('hex').slice(0, 12)}`;
