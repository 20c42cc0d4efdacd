import type { Pool } from 'pg';
import type { RequestRecord } from '../../src/simulator/api/api-front.ts';
import type { Simulator } from '../../src/simulator/interface.ts';
import type { Replica } from './replica.ts';

/** Finds the moments that matter: when a page of an audit log is on its way to a replica. */
export interface Aim {
  /**
   * Waits until a page is sent, of this organization where one is named, and returns the replica that works on it, by the
   * lease. Undefined if none was sent in time, or its recipient is not known (the database is away).
   */
  replicaThatIsSentAPage(timeoutMs: number, organizationId?: string): Promise<Replica | undefined>;
}

export const createAim = (simulator: Simulator, pool: Pool, replicas: readonly Replica[]): Aim => ({
  replicaThatIsSentAPage: async (timeoutMs, organizationId) => {
    const sentTo = await nextPage(simulator, timeoutMs, organizationId);
    if (sentTo === undefined) return undefined;
    const pid = await leaseHolderPid(pool, sentTo).catch(() => undefined);
    return replicas.find((replica) => replica.isRunning && replica.pid === pid);
  },
});

const nextPage = (simulator: Simulator, timeoutMs: number, wanted: string | undefined): Promise<string | undefined> => {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const timer = setTimeout(() => resolve(undefined), timeoutMs);
  const end = simulator.onRequest((record) => {
    const id = pageOf(record);
    if (id !== undefined && (wanted === undefined || wanted === id)) resolve(id);
  });
  return promise.finally(() => {
    clearTimeout(timer);
    end();
  });
};

const pageOf = ({ path, status }: RequestRecord): string | undefined =>
  status === 200 ? /\/organizations\/([^/]+)\/logs\/audit/.exec(path)?.[1] : undefined;

/** A lease names its owner as HOST/PID/INSTANCE. */
const leaseHolderPid = async (pool: Pool, organizationId: string): Promise<number | undefined> => {
  const { rows } = await pool.query<{ owner: string }>(
    'select lease_owner as owner from sources where id = $1 and lease_until > clock_timestamp()',
    [organizationId],
  );
  return rows[0] === undefined ? undefined : Number(rows[0].owner.split('/')[1]);
};
