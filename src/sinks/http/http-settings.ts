import { z } from 'zod';
import { isLoopbackHost } from '../../postgres/loopback.ts';
import { urlOf } from '../settings.ts';

/** The address of a receiver whose paths the sink knows. */
const baseUrl = urlOf('https:', 'http:').refine(
  (text) => !/[?#]/.test(text),
  'must be a URL without query and fragment',
);

/** Settings of the sinks that push to a known API. */
export const httpSettings = { url: baseUrl, ca_file: z.string().optional(), gzip: z.boolean().default(true) };

/** Warns of `url` if `what` goes to another host without TLS. */
export const plainHttpWarnings = (url: string, what: string): string[] => {
  const { protocol, hostname } = new URL(url);
  if (protocol !== 'http:' || isLoopbackHost(hostname)) return [];
  return [`.url sends ${what} over plain http to ${hostname}`];
};
