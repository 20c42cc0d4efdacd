import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { installDebianPeers } from '../debian-peers.ts';
import { startHttpReceiver } from '../http/http-receiver.ts';
import type { Arrived, ReceiverKind } from '../receivers.ts';
import { type OverHttp, overHttp, receiverOver } from '../receivers-over-http.ts';

export interface LogRecord {
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly text: string;
  readonly eventName: string;
  readonly severity: readonly [number, string];
  /** Of the action and of the receipt. */
  readonly nanoseconds: readonly [string, string];
  readonly unknown: number;
}

interface Collected {
  readonly taken: readonly LogRecord[];
  readonly services: readonly string[];
  readonly isCanonical: boolean;
  /** In base64. */
  readonly answer: string;
  readonly error?: string;
}

export interface OtlpReceiver extends OverHttp {
  readonly records: readonly LogRecord[];
}

const script = fileURLToPath(new URL('../otlp-collector.py', import.meta.url));
const python = '/usr/bin/python3';
const definitions = '/usr/lib/python3/dist-packages/opentelemetry/proto';

/** What is not ours reads the requests and writes the answers; the server before it breaks connections. */
export const startOtlpReceiver = async ({
  refusesPoison,
  tls = false,
}: {
  readonly refusesPoison: boolean;
  readonly tls?: boolean;
}): Promise<OtlpReceiver> => {
  const missing = await installDebianPeers('python3-opentelemetry-proto', () => existsSync(definitions));
  if (missing !== undefined) throw new Error(missing);
  const child = spawn(python, [script, ...(refusesPoison ? ['refuse'] : [])], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ask = askOf(child);
  const records: LogRecord[] = [];
  const breaches: string[] = [];
  const parts: Parameters<typeof startHttpReceiver>[0] = {
    received: () => [],
    handle: async ({ path, headers, body }) => {
      if (path !== '/v1/logs' || headers.authorization !== `Bearer ${token}`) return { status: 401 };
      if (headers['content-type'] !== protobuf) breaches.push(`type ${headers['content-type']}`);
      const { error, taken, services, isCanonical, answer } = await ask(Buffer.from(body, 'latin1'));
      if (error !== undefined) return { status: 400, body: error };
      if (!isCanonical || services[0] !== 'orgtrail')
        breaches.push(`a request of ${services}, canonical: ${isCanonical}`);
      breaches.push(...taken.flatMap((record) => (record.unknown === 0 ? [] : [`unknown fields: ${record.text}`])));
      records.push(...taken);
      return { status: 200, headers: { 'content-type': protobuf }, body: Buffer.from(answer, 'base64') };
    },
  };
  const http = await startHttpReceiver(parts, { tls });
  const over = receiverOver(http, { type: 'otlp', token }, () => breaches);
  return {
    ...over,
    records,
    received: async () => records.map(arrivedOf),
    [Symbol.asyncDispose]: async () => {
      await over[Symbol.asyncDispose]();
      child.stdin?.end();
      await once(child, 'exit');
    },
  };
};

const token = 'token-of-the-collector';
const protobuf = 'application/x-protobuf';

/** One question after the other, in their order. */
const askOf = ({ stdin, stdout }: ChildProcess) => {
  if (stdin === null || stdout === null) throw new Error('no pipes');
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  return async (body: Buffer): Promise<Collected> => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(body.length);
    stdin.write(Buffer.concat([length, body]));
    return JSON.parse((await lines.next()).value ?? '');
  };
};

const arrivedOf = ({ attributes, text }: LogRecord): Arrived => ({
  text,
  key: String(attributes['log.record.uid']),
  position: Number(attributes['orgtrail.position']),
});

export const receiver: ReceiverKind<OverHttp> = { ...overHttp, start: startOtlpReceiver, repeats: 'kept' };
