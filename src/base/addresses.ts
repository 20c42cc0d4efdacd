import { isIP } from 'node:net';

const octet = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
const ipv4 = new RegExp(`^${octet}(?:\\.${octet}){3}$`);
const group = /^[0-9a-fA-F]{1,4}$/;
/** OCSF's `ip_t` has room for 40; only odd spellings of IPv4 inside IPv6 are longer. */
const MAX_LENGTH = 40;

/** Groups of 16 bits in a part of an IPv6 address; NaN if it is none. */
const countGroups = (part: string, isLast: boolean): number => {
  if (part === '') return 0;
  const groups = part.split(':');
  const tail = isLast && ipv4.test(groups.at(-1) ?? '') ? 1 : 0;
  return groups.slice(0, groups.length - tail).every((text) => group.test(text)) ? groups.length + tail : Number.NaN;
};

/** 4 or 6 for an address that SIEMs' address fields take (no zone, no port), else undefined. */
export const ipVersion = (text: string): 4 | 6 | undefined => {
  if (ipv4.test(text)) return 4;
  if (text.length > MAX_LENGTH || !text.includes(':')) return undefined;
  const [head = '', tail, ...more] = text.split('::');
  if (more.length > 0) return undefined;
  if (tail === undefined) return countGroups(head, true) === 8 ? 6 : undefined;
  return countGroups(head, false) + countGroups(tail, true) <= 7 ? 6 : undefined;
};

/** Takes names, addresses and bracketed addresses of a URL. */
export const isLoopbackHost = (host: string): boolean => {
  const bare = host.replace(/^\[(.*)\]$/, '$1');
  if (isIP(bare) === 4) return bare.startsWith('127.');
  return bare === 'localhost' || bare === '::1';
};
