import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { listen } from '../../network/listen.ts';
import { installDebianPeers } from '../debian-peers.ts';
import type { Arrived, Hang, Receiver, ReceiverKind } from '../receivers.ts';

interface Message {
  readonly partition: number;
  readonly key: string;
  readonly text: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeMs: number;
}

export interface KafkaReceiver extends Receiver {
  /** In the order of each partition. */
  messages(): Promise<readonly Message[]>;
  /** The next requests to produce are answered with these errors. */
  fail(...codes: readonly number[]): Promise<unknown>;
  hang(): Hang;
}

const script = fileURLToPath(new URL('../kafka-cluster.py', import.meta.url));
const PRODUCE = 0;
const TOO_SLOW_MS = 60_000;

/** Two brokers of librdkafka's mock cluster, with one topic. */
export const startKafkaReceiver = async (partitions: number, settings: object = {}): Promise<KafkaReceiver> => {
  const client = '/usr/lib/python3/dist-packages/confluent_kafka';
  const missing = await installDebianPeers('python3-confluent-kafka', () => existsSync(client));
  if (missing !== undefined) throw new Error(missing);
  const child = spawn('/usr/bin/python3', [script, String(partitions)], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async (): Promise<string> => (await lines.next()).value ?? '';
  const ports = (await line()).split(',').map((server) => Number(server.split(':')[1]));
  let asked: Promise<unknown> = Promise.resolve();
  const ask = (order: string): Promise<unknown> => {
    asked = asked.then(() => {
      child.stdin.write(`${order}\n`);
      return line().then((text) => JSON.parse(text));
    });
    return asked;
  };
  // A client that comes behind an order finds it obeyed.
  const bootstrap = await listen(
    createServer((socket) => void asked.then(() => newerVersions(socket, ports[0] ?? 0)).catch(() => socket.destroy())),
  );
  const messages = () => ask('read') as Promise<readonly Message[]>;
  let watch: NodeJS.Timeout | undefined;
  return {
    settings: { type: 'kafka', brokers: [`127.0.0.1:${bootstrap.port}`], topic: 'audit', tls: false, ...settings },
    messages,
    received: async () => (await messages()).map(arrivedOf),
    stop: async () => {
      await Promise.all([bootstrap.stop(), ask('down')]);
    },
    restart: async () => {
      await ask('up');
      await bootstrap.restart();
    },
    fail: (...codes) => ask(`errors ${PRODUCE} ${codes.join(' ')}`),
    disturb: async (random) => {
      const faults = [
        // NOT_LEADER_OR_FOLLOWER, REQUEST_TIMED_OUT, NOT_ENOUGH_REPLICAS, TOPIC_AUTHORIZATION_FAILED, and a cut connection. Three in a row are
        // more than the client repeats.
        async () => ask(`errors ${PRODUCE} 6 6 6`),
        async () => ask(`errors ${PRODUCE} 7`),
        async () => ask(`errors ${PRODUCE} 19 19 19`),
        async () => ask(`errors ${PRODUCE} 29`),
        async () => ask(`errors ${PRODUCE} -195`),
        // It has taken all in, and is gone before it answers.
        async () => {
          await ask(`slow ${TOO_SLOW_MS}`);
          void sleep(400).then(async () => {
            await ask('down');
            await ask('calm');
            await ask('up');
          });
        },
      ];
      await faults[Math.floor(random() * faults.length)]?.();
    },
    breaches: () => [],
    hang: () => {
      let isReached = false;
      const before = messages();
      const slow = ask(`slow ${TOO_SLOW_MS}`);
      watch = setInterval(async () => {
        await slow;
        if ((await messages()).length > (await before).length) isReached = true;
      }, 200);
      return {
        isReached: () => {
          if (isReached) clearInterval(watch);
          return isReached;
        },
        end: () => {
          clearInterval(watch);
          void ask('calm');
        },
      };
    },
    [Symbol.asyncDispose]: async () => {
      clearInterval(watch);
      await asked.catch(() => {});
      await bootstrap.stop();
      child.stdin.end();
      await once(child, 'exit');
    },
  };
};

const arrivedOf = ({ text, headers }: Message): Arrived => ({
  text,
  key: headers['key'] ?? '',
  position: Number(headers['position']),
});

/**
 * A broker that answers `ApiVersions` 3: the mock cluster knows 2 alone, in which it is asked. All else goes through; other brokers are
 * reached directly.
 */
const newerVersions = (socket: Socket, port: number): void => {
  const upstream = connect(port, '127.0.0.1');
  const asked = new Set<number>();
  for (const [from, to] of [
    [socket, upstream],
    [upstream, socket],
  ] as const) {
    from.on('error', () => {});
    from.on('close', () => to.destroy());
  }
  onFrames(socket, (frame) => {
    const isNewer = frame.readInt16BE(0) === API_VERSIONS && frame.readInt16BE(2) >= 3;
    if (isNewer) asked.add(frame.readInt32BE(4));
    upstream.write(framed(isNewer ? asVersion2(frame) : frame));
  });
  onFrames(upstream, (frame) => {
    const isAsked = asked.delete(frame.readInt32BE(0));
    socket.write(framed(isAsked ? asVersion3(frame) : frame));
  });
};

const API_VERSIONS = 18;

/** With its length before it. */
export const framed = (frame: Buffer): Buffer => {
  const length = Buffer.alloc(4);
  length.writeInt32BE(frame.length);
  return Buffer.concat([length, frame]);
};

export const onFrames = (socket: Socket, take: (frame: Buffer) => void): void => {
  let rest: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 4 && rest.length >= 4 + rest.readInt32BE(0)) {
      const end = 4 + rest.readInt32BE(0);
      take(rest.subarray(4, end));
      rest = rest.subarray(end);
    }
  });
};

/** Without a client's name, and without a body. */
const asVersion2 = (frame: Buffer): Buffer =>
  Buffer.concat([frame.subarray(0, 2), Buffer.from([0, 2]), frame.subarray(4, 8), Buffer.from([0xff, 0xff])]);

/** Compact list, with empty tags behind each entry and at the end. */
const asVersion3 = (frame: Buffer): Buffer => {
  const count = frame.readInt32BE(6);
  const entries = Array.from({ length: count }, (_, n) => frame.subarray(10 + n * 6, 16 + n * 6));
  const [tags, length] = [Buffer.from([0]), Buffer.from([count + 1])];
  const list = entries.flatMap((entry) => [entry, tags]);
  return Buffer.concat([frame.subarray(0, 6), length, ...list, frame.subarray(10 + count * 6), tags]);
};

export const receiver: ReceiverKind<KafkaReceiver> = {
  start: ({ refusesPoison }) => startKafkaReceiver(1, { max_request_bytes: refusesPoison ? 5_500 : 16_000_000 }),
  awayReason: /ECONNREFUSED/,
  hang: (cluster) => cluster.hang(),
  hangReason: /^no complete answer within 2000 ms$/,
  canRefuse: true,
  repeats: 'kept',
  http: undefined,
};
