import { isIP } from 'node:net';

/** Whether a host, a name or an address, also in the brackets of a URL, means this machine only. */
export const isLoopbackHost = (host: string): boolean => {
  const bare = host.replace(/^\[(.*)\]$/, '$1');
  if (isIP(bare) === 4) return bare.startsWith('127.');
  return bare === 'localhost' || bare === '::1';
};
