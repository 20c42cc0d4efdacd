import { mkdir, readdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FormatName } from '../../../src/formats/registry.ts';
import { jsonValues } from '../feed/json-texts.ts';
import { createCa, createCertificate } from '../network/certificates.ts';
import { startCuttingProxy } from '../network/cutting-proxy.ts';
import { seededRandom } from '../process/seeded-random.ts';
import type { HttpReceiver, ReceivedEvent } from './http/http-receiver.ts';
import { startBulkReceiver, startHecReceiver, startWebhookReceiver } from './http/http-receivers.ts';
import { basicAuthorization, bulkIndex, credentials } from './http/http-sinks.ts';
import { startPlainReceiver } from './http/plain-receiver.ts';
import { documentedKey } from './judge-received.ts';
import { startObjectStorages } from './object-storages.ts';
import { startKafkaReceiver } from './receivers/kafka.ts';
import { type OtlpReceiver, startOtlpReceiver } from './receivers/otlp.ts';
import { type SyslogReceiver, startRsyslog, startSyslogNg } from './syslog-receivers.ts';

/** The receiver of one sink, and what can be done to it. */
export interface SinkReceiver {
  /** What ORGTRAIL_SINKS says of the sink. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly format: FormatName;
  /** What it has, in the order in which it came, repeats included. */
  received(): Promise<readonly ReceivedEvent[]>;
  /** Repeats that are not in `received`. */
  dropped(): number;
  /** Ends it, by SIGKILL where that makes a difference, and starts it again after so long. */
  restart(how: 'stop' | 'kill', pauseMs: number): Promise<void>;
  /** Connections to it that were reset in the middle. */
  cuts(): number;
}

/** So often a network resets connections. */
const CUTS = 5;
/** Small: many deliveries, and something to lose in each. */
const common = { batch_events: 60, timeout: '5s' };

/** One of each kind, under the name of its sink, all but files and objects over TLS; `stack` ends them. Without the first three where `withSyslog` is false. */
export const startSinkReceivers = async (
  stack: AsyncDisposableStack,
  options: { readonly directory: string; readonly seed: number; readonly withSyslog: boolean },
): Promise<ReadonlyMap<string, SinkReceiver>> => {
  const { directory, seed, withSyslog } = options;
  const receivers = new Map<string, SinkReceiver>();
  if (withSyslog) {
    const ca = await createCa(directory, 'ca');
    const tls = await createCertificate(directory, ca, 'localhost', 'DNS:localhost,IP:127.0.0.1');
    const rsyslog = stack.use(await startRsyslog({ tls }));
    receivers.set(
      'rsyslog',
      await behindCuts(stack, syslog(rsyslog, ca.cert), { port: rsyslog.port, seed: seed + 1, mostBytes: 600_000 }),
    );
    const gtls = stack.use(await startRsyslog({ tls, driver: 'gtls' }));
    // Its end is no close_notify: with a proxy in between, which goes on listening, one that dies would look like one that has read all.
    receivers.set(
      'rsyslog-gtls',
      syslog(gtls, ca.cert, { confirm: 'tcp_close' })(gtls.port, () => 0),
    );
    const syslogNg = stack.use(await startSyslogNg({ tls }));
    receivers.set(
      'syslog-ng',
      await behindCuts(stack, syslog(syslogNg, ca.cert), { port: syslogNg.port, seed: seed + 2, mostBytes: 600_000 }),
    );
  }
  const webhook = stack.use(await startWebhookReceiver({ tls: true }));
  const hook = http(webhook, { type: 'webhook', secret: credentials.webhookSecret });
  receivers.set(
    'webhook',
    await behindCuts(stack, hook, { port: portOf(webhook), seed: seed + 3, mostBytes: 2_500_000 }),
  );
  receivers.set('splunk', await splunk(stack, seed + 4));
  receivers.set('elasticsearch', await elasticsearch(stack, seed + 5));
  receivers.set('http', await plainHttp(stack, seed + 6));
  receivers.set('otlp', await otlp(stack, seed + 8));
  receivers.set('kafka', await kafka(stack));
  for (const [name, receiver] of await startObjectStorages(stack, seed + 7, { ...common, cuts: CUTS, eventOfLine })) {
    receivers.set(name, receiver);
  }
  receivers.set('file', await file(join(directory, 'archive')));
  return receivers;
};

/** The simulator has entries of 1 MB; the receivers take 2 MB. */
const syslogLimit = { max_message_bytes: 2_000_000 };

/** A receiver, as it is reached by a port. */
type Reached = (port: number, cuts: () => number) => SinkReceiver;

/** Resets connections after so many bytes at most: some of the deliveries, or else the pauses after failures grow for a minute. */
const behindCuts = async (
  stack: AsyncDisposableStack,
  reached: Reached,
  { port, seed, mostBytes }: { readonly port: number; readonly seed: number; readonly mostBytes: number },
): Promise<SinkReceiver> => {
  const random = seededRandom(seed);
  const cuts = (): number => proxy.cuts();
  const nextLimit = () => (cuts() < CUTS ? Math.floor(random() * mostBytes) : undefined);
  const proxy = stack.use(await startCuttingProxy(port, nextLimit));
  return reached(proxy.port, cuts);
};

const syslog =
  (receiver: SyslogReceiver, caFile: string, more: object = {}): Reached =>
  (port, cuts) => ({
    settings: { type: 'syslog', url: `tls://127.0.0.1:${port}`, ca_file: caFile, ...syslogLimit, ...common, ...more },
    format: 'native',
    received: receiver.received,
    dropped: () => 0,
    restart: async (how, pauseMs) => {
      await receiver[how]();
      await sleep(pauseMs);
      await receiver.restart();
    },
    cuts,
  });

const portOf = ({ url }: HttpReceiver): number => Number(new URL(url).port);

const http =
  (receiver: HttpReceiver, settings: object): Reached =>
  (port, cuts) => {
    let answersCut = 0;
    return {
      settings: { url: `https://127.0.0.1:${port}`, ca_file: receiver.caFile, ...common, ...settings },
      format: 'native',
      received: async () => receiver.received(),
      dropped: () => 0,
      restart: async (_, pauseMs) => {
        await receiver.stop();
        await sleep(pauseMs);
        // It takes in what it gets then, without a word.
        receiver.faults.push({ kind: 'cut', at: 'answer' });
        answersCut += 1;
        await receiver.restart();
      },
      cuts: () => cuts() + answersCut,
    };
  };

/** Indexes what it has acknowledged: what was sent and never asked for is counted, not kept. */
const splunk = async (stack: AsyncDisposableStack, seed: number): Promise<SinkReceiver> => {
  const hec = stack.use(await startHecReceiver({ tls: true, token: credentials.hecToken, acknowledgeAtPoll: 2 }));
  // A second or so until it is acknowledged: larger deliveries, or they take all the time.
  const settings = { type: 'splunk_hec', token: credentials.hecToken, ack: true, batch_events: 300 };
  return {
    ...(await behindCuts(stack, http(hec, settings), { port: portOf(hec), seed, mostBytes: 80_000 })),
    dropped: () => {
      const bodies = hec.requests.filter(({ path }) => path.endsWith('/event')).map(({ body }) => body);
      return bodies.reduce((sum, body) => sum + jsonValues(body).length, 0) - hec.received().length;
    },
  };
};

/** `_bulk` keeps documents by key: what came again and was the same is counted, not kept. */
const elasticsearch = async (stack: AsyncDisposableStack, seed: number): Promise<SinkReceiver> => {
  const bulk = stack.use(await startBulkReceiver({ tls: true, index: bulkIndex, authorization: basicAuthorization }));
  const { username, password } = credentials;
  const settings = { type: 'elasticsearch', index: bulkIndex, username, password };
  return {
    ...(await behindCuts(stack, http(bulk, settings), { port: portOf(bulk), seed, mostBytes: 80_000 })),
    format: 'ecs',
    received: async () => [...bulk.received(), ...bulk.contradictions],
    dropped: () => {
      const sent = bulk.requests.reduce((sum, { body }) => sum + (body.split('\n').length - 1) / 2, 0);
      return sent - bulk.received().length - bulk.contradictions.length;
    },
  };
};

/** Lines without an envelope, packed. */
const plainHttp = async (stack: AsyncDisposableStack, seed: number): Promise<SinkReceiver> => {
  const plain = stack.use(await startPlainReceiver({ body: 'ndjson', tls: true }));
  const settings = { type: 'http', headers: { 'x-api-key': 'key-of-the-receiver' } };
  return {
    ...(await behindCuts(stack, http(plain, settings), { port: portOf(plain), seed, mostBytes: 80_000 })),
    received: async () => plain.events().map(({ text }) => eventOfLine(text)),
  };
};

/** Behind it is a process that reads protobuf. */
export const otlp = async (stack: AsyncDisposableStack, seed: number, refusesPoison = false) => {
  const collector = stack.use(await startOtlpReceiver({ refusesPoison, tls: true }));
  const { url: _, ...settings } = collector.settings;
  return {
    ...(await behindCuts(stack, http(collector.http, settings), {
      port: portOf(collector.http),
      seed,
      mostBytes: 80_000,
    })),
    received: async () =>
      (await collector.received()).map(({ text = '', key = '', position = 0 }) => ({ text, key, position })),
    collector,
  } satisfies SinkReceiver & { readonly collector: OtlpReceiver };
};

/** One partition, so that all is in one order. Its brokers go away, which cuts connections, and keep what they have. */
export const kafka = async (stack: AsyncDisposableStack) => {
  const cluster = stack.use(await startKafkaReceiver(1));
  const receiver: SinkReceiver = {
    settings: { ...cluster.settings, max_request_bytes: 2_000_000, ...common },
    format: 'native',
    received: async () =>
      (await cluster.received()).map(({ text = '', key = '', position = 0 }) => ({ text, key, position })),
    dropped: () => 0,
    restart: async (_, pauseMs) => {
      await cluster.stop();
      await sleep(pauseMs);
      await cluster.restart();
    },
    cuts: () => 0,
  };
  return { ...receiver, cluster };
};

/** Its trouble is that the directory is away for a while. */
const file = async (directory: string): Promise<SinkReceiver> => {
  await mkdir(directory);
  return {
    settings: { type: 'file', path: join(directory, 'audit.ndjson'), batch_events: 60, max_bytes: 1_000_000 },
    format: 'native',
    received: () => readFiles(directory),
    dropped: () => 0,
    restart: async (_, pauseMs) => {
      await rename(directory, `${directory}-away`);
      await sleep(pauseMs);
      await rename(`${directory}-away`, directory);
    },
    cuts: () => 0,
  };
};

/** Those put aside have the time in their names. There is none at the path after a delivery that filled it. */
const readFiles = async (directory: string): Promise<ReceivedEvent[]> => {
  const names = await readdir(directory);
  const aside = names.filter((name) => name.startsWith('audit-')).sort();
  const current = names.filter((name) => name === 'audit.ndjson');
  const texts = await Promise.all([...aside, ...current].map((name) => readFile(join(directory, name), 'utf8')));
  return texts.flatMap((text) => text.split('\n').slice(0, -1).map(eventOfLine));
};

const eventOfLine = (line: string): ReceivedEvent => {
  const { position, source_kind, source_id, id } = JSON.parse(line);
  return { key: documentedKey(source_kind, source_id, id), position, text: line };
};
