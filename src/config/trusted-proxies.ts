import { isIP } from 'node:net';

/**
 * Reads ORGTRAIL_TRUSTED_PROXIES: addresses and subnets, separated by commas or spaces. Undefined if one is neither.
 * Called by environment-schema.ts.
 */
export const parseProxies = (text: string): readonly string[] | undefined => {
  const items = text.split(/[\s,]+/).filter((item) => item !== '');
  return items.every(isAddressOrSubnet) ? items : undefined;
};

const isAddressOrSubnet = (item: string): boolean => {
  const [address = '', bits, ...more] = item.split('/');
  const family = isIP(address);
  if (family === 0 || more.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
};
