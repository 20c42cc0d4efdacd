import { readFile } from 'node:fs/promises';

/** What a process has used up to now. Linux only: from /proc. */
export interface ProcessUsage {
  /** Of all its threads, user and system. */
  readonly cpuMs: number;
  readonly residentBytes: number;
  /** The most that it ever had. */
  readonly peakResidentBytes: number;
}

/** A clock tick of /proc, the same on every Linux that Node runs on. */
const TICK_MS = 10;

/** Rejects where the process is gone. */
export const usageOf = async (pid: number): Promise<ProcessUsage> => {
  const [stat, status] = await Promise.all(['stat', 'status'].map((file) => readFile(`/proc/${pid}/${file}`, 'utf8')));
  // The name in parentheses may have spaces; what follows it begins with the third field.
  const fields = (stat ?? '').slice((stat ?? '').lastIndexOf(')') + 2).split(' ');
  const bytes = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status ?? '')?.[1] ?? 0) * 1_024;
  return {
    cpuMs: (Number(fields[11]) + Number(fields[12])) * TICK_MS,
    residentBytes: bytes('VmRSS'),
    peakResidentBytes: bytes('VmHWM'),
  };
};
