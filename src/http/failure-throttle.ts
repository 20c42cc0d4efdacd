import { isIPv6 } from 'node:net';

const WINDOW_MS = 60_000;
/** As of attempts to sign in. */
export const FAILURES_PER_MINUTE = 10;
/** Bounds the memory. The oldest are forgotten first. */
const MAX_ADDRESSES = 10_000;

interface Failures {
  readonly sinceMs: number;
  count: number;
}

/** Counts what an address, of IPv6 a /64, gets wrong. `nowMs` is a clock that never goes back. */
export class FailureThrottle {
  readonly #failures = new Map<string, Failures>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Counts one more failure. Seconds to wait, from the eleventh within a minute on; undefined before. */
  failed(address: string): number | undefined {
    const group = addressGroup(address);
    const nowMs = this.#nowMs();
    const kept = this.#failures.get(group);
    if (kept === undefined || nowMs - kept.sinceMs >= WINDOW_MS) {
      this.#failures.delete(group);
      this.#failures.set(group, { sinceMs: nowMs, count: 1 });
      const [oldest] = this.#failures.keys();
      if (this.#failures.size > MAX_ADDRESSES && oldest !== undefined) this.#failures.delete(oldest);
      return undefined;
    }
    kept.count += 1;
    if (kept.count <= FAILURES_PER_MINUTE) return undefined;
    return Math.max(1, Math.ceil((kept.sinceMs + WINDOW_MS - nowMs) / 1_000));
  }
}

/** Who has one address of an IPv6 network has all of its /64. An IPv4 address in IPv6 is that IPv4 address. */
export const addressGroup = (address: string): string => {
  const mapped = /^::ffff:(\d+(?:\.\d+){3})$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  const [plain = ''] = address.split('%');
  if (!isIPv6(plain)) return address;
  const [head = '', tail] = new URL(`http://[${plain}]`).hostname.slice(1, -1).split('::');
  const first = head === '' ? [] : head.split(':');
  const last = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = Array<string>(8 - first.length - last.length).fill('0');
  return [...first, ...zeros, ...last].slice(0, 4).join(':');
};
