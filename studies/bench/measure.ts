import { readdir, readFile, writeFile } from 'node:fs/promises';
import type { Client } from 'pg';
import { usageOf } from '../../test/support/process/process-usage.ts';

/** What a run cost, apart from time. */
export interface Cost {
  readonly processCpuMs: number;
  /** Of all processes of the server; undefined where it does not run on this machine. */
  readonly postgresCpuMs: number | undefined;
  readonly walBytes: number;
  readonly peakResidentBytes: number;
}

const TICK_MS = 10;

/** The fields of /proc/PID/stat behind the name; undefined where the process is gone. */
const statOf = async (pid: string | number): Promise<readonly string[] | undefined> => {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  return text?.slice(text.lastIndexOf(')') + 2).split(' ');
};

const [PARENT, USER, SYSTEM, CHILDREN_USER, CHILDREN_SYSTEM] = [1, 11, 12, 13, 14] as const;

/** The server's first process, from one of its backends; undefined where that is not a process of this machine. */
export const findPostmaster = async (client: Client): Promise<number | undefined> => {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  const pid = rows[0]?.pid ?? 0;
  const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
  return name.startsWith('postgres') ? Number((await statOf(pid))?.[PARENT]) : undefined;
};

/** CPU time of the server: its processes, those that have ended included. */
export const postgresCpuMs = async (postmaster: number | undefined): Promise<number | undefined> => {
  if (postmaster === undefined) return undefined;
  const own = await statOf(postmaster);
  let ticks = 0;
  for (const field of [USER, SYSTEM, CHILDREN_USER, CHILDREN_SYSTEM]) ticks += Number(own?.[field] ?? 0);
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const stat = await statOf(pid);
    if (Number(stat?.[PARENT]) === postmaster) ticks += Number(stat?.[USER]) + Number(stat?.[SYSTEM]);
  }
  return ticks * TICK_MS;
};

/** Runs something and says what it cost the process and the server. */
export const measured = async <T>(
  { admin, postmaster, pid }: { readonly admin: Client; readonly postmaster: number | undefined; readonly pid: number },
  run: () => Promise<T>,
): Promise<{ readonly result: T; readonly cost: Cost }> => {
  const walPosition = async () =>
    Number((await admin.query("select pg_current_wal_insert_lsn() - '0/0'::pg_lsn as bytes")).rows[0]?.bytes);
  // Peak memory counts from here.
  await writeFile(`/proc/${pid}/clear_refs`, '5').catch(() => {});
  const [usage, postgresMs, wal] = [await usageOf(pid), await postgresCpuMs(postmaster), await walPosition()];
  const result = await run();
  const [usageAfter, postgresAfterMs] = [await usageOf(pid), await postgresCpuMs(postmaster)];
  return {
    result,
    cost: {
      processCpuMs: usageAfter.cpuMs - usage.cpuMs,
      postgresCpuMs: postgresMs === undefined ? undefined : (postgresAfterMs ?? 0) - postgresMs,
      walBytes: (await walPosition()) - wal,
      peakResidentBytes: usageAfter.peakResidentBytes,
    },
  };
};

export const median = (numbers: readonly number[]): number => {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
};
