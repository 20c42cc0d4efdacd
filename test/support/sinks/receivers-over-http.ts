import type { Fault, HttpReceiver } from './http/http-receiver.ts';
import type { Hang, Receiver, ReceiverKind } from './receivers.ts';

/** A receiver with the server under it. */
export interface OverHttp extends Receiver {
  readonly http: HttpReceiver;
}

/** What all receivers over HTTP have in common. */
export const overHttp = {
  awayReason: /^ECONNREFUSED/,
  hang: ({ http }: OverHttp): Hang => {
    const before = http.requests.length;
    http.faults.push({ kind: 'stall', at: 'answer' });
    const end = () => {
      // On a busy machine the time may be over before the receiver has read anything.
      http.faults.length = 0;
    };
    return { isReached: () => http.requests.length > before, end };
  },
  hangReason: /^no complete answer within 2000 ms$/,
  canRefuse: true,
  http: ({ http }) => http,
} as const satisfies Partial<ReceiverKind<OverHttp>>;

const randomFaults = (random: () => number, eventCount: number): readonly Fault[] => [
  { kind: 'answer', status: 503, headers: { 'retry-after': '1' }, body: 'busy' },
  { kind: 'answer', status: 429 },
  { kind: 'answer', status: 500, early: true, body: '<html>Bad Gateway</html>' },
  { kind: 'answer', status: 302, headers: { location: 'https://elsewhere.example/' } },
  { kind: 'cut', at: 'start' },
  { kind: 'cut', at: { bodyBytes: 1 + Math.floor(random() * 3_000) } },
  { kind: 'cut', at: 'answer' },
  { kind: 'cut', at: 'mid-answer' },
  // Too large: smaller ones are taken.
  ...(eventCount > 1 ? [{ kind: 'answer', status: 413 } as const] : []),
];

/** The receiver that a server is, for a sink with these settings. */
export const receiverOver = (
  http: HttpReceiver,
  settings: Receiver['settings'],
  breaches: Receiver['breaches'] = () => [],
): OverHttp => ({
  http,
  settings: { url: http.url, ...(http.caFile !== undefined && { ca_file: http.caFile }), ...settings },
  received: async () => http.received(),
  stop: () => http.stop(),
  restart: () => http.restart(),
  disturb: async (random, eventCount) => {
    if (http.faults.length > 0) return;
    const faults = randomFaults(random, eventCount);
    const fault = faults[Math.floor(random() * faults.length)];
    if (fault !== undefined) http.faults.push(fault);
  },
  breaches,
  [Symbol.asyncDispose]: () => http[Symbol.asyncDispose](),
});
