import { randomBytes } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { kill, pid } from 'node:process';

/** Names this process in leases: `HOST/PID/NAMESPACE-RANDOM`. A pid means something only within its namespace. */
export const createProcessIdentity = (): string =>
  `${hostname()}/${pid}/${pidNamespace()}-${randomBytes(4).toString('hex')}`;

/**
 * True if an owner is known to be dead: a process of this host and pid namespace whose pid is free, or is now our own.
 * Says nothing of other hosts and containers, be they of the same name: their leases run out.
 */
export const isDeadOwner = (owner: string, self: string): boolean => {
  const [host, ownerPid, instance] = owner.split('/');
  if (owner === self || host !== hostname() || instance?.split('-')[0] !== pidNamespace()) return false;
  return Number(ownerPid) === pid || !isAlive(Number(ownerPid));
};

/** The number of the pid namespace; `host` if the system has none. */
const pidNamespace = (): string => {
  try {
    return /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? 'host';
  } catch {
    return 'host';
  }
};

const isAlive = (otherPid: number): boolean => {
  try {
    return otherPid > 0 && kill(otherPid, 0);
  } catch (error) {
    // EPERM: the process is alive but belongs to another user.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
};
