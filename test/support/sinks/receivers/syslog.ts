import { createServer, type Socket } from 'node:net';
import { listen } from '../../network/listen.ts';
import type { Arrived, Hang, Receiver, ReceiverKind } from '../receivers.ts';
import { parseStructuredData } from '../syslog-receivers.ts';

interface SyslogServer extends Receiver {
  hang(): Hang;
}

const header = /^<\d+>1 \S+ \S+ \S+ - \S+ (\[(?:[^"\]]|"(?:[^"\\\]]|\\["\\\]])*")*\]) /;

const arrivedOf = (message: string): Arrived => {
  const [whole = '', structured = ''] = header.exec(message) ?? [];
  const { key, position } = parseStructuredData(structured);
  if (key === undefined) throw new Error(`no message of ours: ${message.slice(0, 500)}`);
  return { key, position: Number(position), text: message.slice(whole.length) };
};

/** The whole messages at the beginning of what came, by their lengths, and what is left. */
const takeMessages = (bytes: Buffer): { readonly messages: readonly Arrived[]; readonly rest: Buffer } => {
  const messages: Arrived[] = [];
  let rest = bytes;
  for (;;) {
    const space = rest.indexOf(' ');
    const end = space + 1 + Number(rest.subarray(0, Math.max(0, space)));
    if (space < 0 || rest.length < end) return { messages, rest };
    messages.push(arrivedOf(rest.subarray(space + 1, end).toString('utf8')));
    rest = rest.subarray(end);
  }
};

/** Reads messages with octet counting over TCP, and closes when it has read to the end. rsyslog and syslog-ng have tests of their own. */
const startSyslogServer = async (settings: Receiver['settings']): Promise<SyslogServer> => {
  const received: Arrived[] = [];
  let cutAfterBytes: number | undefined;
  let hanging: { reached: boolean } | undefined;
  const serve = (socket: Socket) => {
    if (hanging !== undefined) {
      hanging.reached = true;
      return;
    }
    let rest: Buffer = Buffer.alloc(0);
    let sizeBytes = 0;
    socket.on('data', (chunk: Buffer) => {
      sizeBytes += chunk.length;
      const taken = takeMessages(Buffer.concat([rest, chunk]));
      received.push(...taken.messages);
      rest = taken.rest;
      if (cutAfterBytes === undefined || sizeBytes < cutAfterBytes) return;
      cutAfterBytes = undefined;
      socket.removeAllListeners('data').resetAndDestroy();
    });
    socket.on('end', () => socket.end());
  };
  const listening = await listen(createServer({ allowHalfOpen: true }, serve));
  return {
    ...listening,
    settings: { type: 'syslog', url: `tcp://127.0.0.1:${listening.port}`, ...settings },
    received: async () => received,
    disturb: async (random, eventCount) => {
      cutAfterBytes = 1 + Math.floor(random() * 750 * eventCount);
    },
    breaches: () => [],
    hang: () => {
      const one = { reached: false };
      hanging = one;
      return {
        isReached: () => one.reached,
        end: () => {
          hanging = undefined;
        },
      };
    },
  };
};

export const receiver: ReceiverKind<SyslogServer> = {
  start: ({ refusesPoison }) => startSyslogServer({ max_message_bytes: refusesPoison ? 4_000 : 16_000_000 }),
  awayReason: /ECONNREFUSED/,
  hang: (server) => server.hang(),
  hangReason: /within 2s$/,
  canRefuse: true,
  repeats: 'kept',
  http: undefined,
};
