import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { kill, pid } from 'node:process';

/** Names this process in leases: `HOST/PID/RANDOM`. */
export const createProcessIdentity = (): string => `${hostname()}/${pid}/${randomBytes(4).toString('hex')}`;

/**
 * True where an owner is known to be dead: a process of this host whose pid is free, or is now our own. (A container that
 * starts again has the same host name and pid 1.) Says nothing of other hosts: their leases run out.
 */
export const isDeadOwner = (owner: string, self: string): boolean => {
  const [host, ownerPid] = owner.split('/');
  if (owner === self || host !== hostname()) return false;
  return Number(ownerPid) === pid || !isAlive(Number(ownerPid));
};

const isAlive = (otherPid: number): boolean => {
  try {
    return otherPid > 0 && kill(otherPid, 0);
  } catch (error) {
    // EPERM: it lives, but belongs to somebody else.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
};
