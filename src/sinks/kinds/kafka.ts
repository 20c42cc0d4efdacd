import type { Producer, ProducerOptions } from '@platformatic/kafka';
import { z } from 'zod';
import { isLoopbackHost } from '../../base/addresses.ts';
import { codeOf } from '../../base/errors.ts';
import { readCa } from '../../base/http.ts';
import { formats } from '../../formats/registry.ts';
import type { Delivery, DeliveryOutcome, OutgoingEvent, Sink } from '../delivery.ts';
import { createReasonText, delivered, type ReasonText, unconnectedCodes } from '../http/http-post.ts';
import { commonSettings, secret, sinkKind } from '../sink-kind.ts';

const CONNECT_TIMEOUT_MS = 10_000;
/** Of the same batch under the same number: brokers drop its repeats. What fails then is a new delivery's. */
const RETRIES = 2;
const RETRY_PAUSE_MS = 250;

/** Acknowledged by all replicas in sync. Messages of one source have one key, and so one partition, in which they are in order. */
const create = (settings: KafkaSettings): Sink => {
  const { brokers, topic, timeout: timeoutMs, max_request_bytes: maxRequestBytes } = settings;
  const reasonText = createReasonText(settings.password === undefined ? [] : [settings.password]);
  const ca = readCa(settings.ca_file, (code) => `The ca_file of a sink cannot be read${code}.`);
  const tls = settings.tls ? { ...(ca !== undefined && { ca }) } : undefined;
  let opened: Promise<BytesProducer> | undefined;
  const drop = async (): Promise<void> => {
    const old = await opened?.catch(() => undefined);
    opened = undefined;
    // Ends its connections, and with them what is under way.
    await old?.close(true).catch(() => {});
  };
  const send = async ({ events, checkpoint }: Delivery): Promise<void> => {
    opened ??= openProducer(settings, tls);
    const producer = await opened;
    const type = checkpoint === undefined ? formats[settings.format].contentType : 'application/json';
    await producer.send({ messages: events.map((event) => messageOf(event, topic, type)) });
  };
  return {
    target: `kafka://${brokers.join(',')}/${topic}`,
    deliver: async (delivery, signal) => {
      signal.throwIfAborted();
      const bytes = delivery.events.reduce((sum, { text }) => sum + Buffer.byteLength(text, 'utf8'), 0);
      if (bytes > maxRequestBytes) {
        return {
          kind: 'refused',
          reason: `not sent: it takes ${bytes} bytes, and max_request_bytes is ${maxRequestBytes}`,
        };
      }
      try {
        await endedBy(send(delivery), AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]));
        return delivered;
      } catch (error) {
        // Its numbers are those of a batch whose fate is unknown.
        await drop();
        signal.throwIfAborted();
        return outcomeOf(error, settings, { isAlone: delivery.events.length === 1, reasonText });
      }
    },
    close: drop,
  };
};

type BytesProducer = Producer<Buffer, Buffer, Buffer, Buffer>;

/** Loaded with the first delivery: most processes have no such sink. */
const openProducer = async (settings: KafkaSettings, tls: ProducerOptions<Buffer, Buffer, Buffer, Buffer>['tls']) => {
  const kafka = await import('@platformatic/kafka');
  const { username, password, mechanism, timeout: timeoutMs } = settings;
  const producer: BytesProducer = new kafka.Producer({
    clientId: 'orgtrail',
    bootstrapBrokers: [...settings.brokers],
    idempotent: true,
    autocreateTopics: false,
    compression: settings.gzip ? 'gzip' : 'none',
    retries: RETRIES,
    retryDelay: RETRY_PAUSE_MS,
    timeout: timeoutMs,
    requestTimeout: timeoutMs,
    connectTimeout: Math.min(timeoutMs, CONNECT_TIMEOUT_MS),
    ...(tls !== undefined && { tls, tlsServerName: true }),
    ...(username !== undefined && password !== undefined && { sasl: { mechanism, username, password } }),
  });
  // Of a connection that was refused or has ended, the client hears one error, and a second one without a listener would end the process.
  for (const event of ['client:broker:connect', 'client:broker:failed'] as const) {
    producer.on(event, ({ connection }) => void connection.on('error', () => {}));
  }
  // Without a number of before: brokers refuse one that they have not given.
  await producer.initIdempotentProducer({ producerId: -1n, producerEpoch: -1 }).catch(async (error: unknown) => {
    await producer.close(true).catch(() => {});
    throw error;
  });
  return producer;
};

/** Dated as of now: a topic deletes by this time what is older than its retention. */
const messageOf = ({ event, key, text }: OutgoingEvent, topic: string, type: string) => ({
  topic,
  key: Buffer.from(`${event.sourceKind}/${event.sourceId}`),
  value: Buffer.from(text),
  headers: new Map(
    Object.entries({ key, position: String(event.position), feed_id: event.feedId, 'content-type': type }).map(
      ([name, value]) => [Buffer.from(name), Buffer.from(value)] as const,
    ),
  ),
});

/** Rejects with the reason of `signal` if that comes first. */
const endedBy = async (sent: Promise<void>, signal: AbortSignal): Promise<void> => {
  sent.catch(() => {});
  let stop = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    await Promise.race([sent, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
};

const refusals = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE', 'INVALID_RECORD']);

const checks: Readonly<Record<string, string>> = {
  SASL_AUTHENTICATION_FAILED: 'check username, password and mechanism',
  UNSUPPORTED_SASL_MECHANISM: 'check mechanism',
  TOPIC_AUTHORIZATION_FAILED: 'check that the user may write to topic',
  CLUSTER_AUTHORIZATION_FAILED: 'check that the user may write idempotently',
  UNKNOWN_TOPIC_OR_PARTITION: 'check topic: the cluster has none of this name',
};

/**
 * Nothing but a refusal is about what an event holds. One alone that fails is the receiver's fault, whatever events of other partitions do: their
 * leaders are other brokers.
 */
const outcomeOf = (
  error: unknown,
  { timeout: timeoutMs }: KafkaSettings,
  { isAlone, reasonText }: { readonly isAlone: boolean; readonly reasonText: ReasonText },
): DeliveryOutcome => {
  const causes = causesOf(error);
  const failed = (reason: string, because: 'slow' | 'receiver' | undefined): DeliveryOutcome => {
    const whose = isAlone ? 'receiver' : because;
    return { kind: 'failed', reason: reasonText(reason), ...(whose !== undefined && { because: whose }) };
  };
  const said = causes.find((cause) => typeof cause['apiId'] === 'string');
  if (said !== undefined) {
    const name = String(said['apiId']);
    if (refusals.has(name)) return { kind: 'refused', reason: reasonText(`${name}: ${said.message}`) };
    return failed(`${name}: ${checks[name] ?? said.message}`, 'receiver');
  }
  if (causes.some(({ name, code }) => name === 'TimeoutError' || code === 'PLT_KFK_TIMEOUT'))
    return failed(`no complete answer within ${timeoutMs} ms`, 'slow');
  const code = causes.map(codeOf).find((each) => each !== undefined && !each.startsWith('PLT_KFK_'));
  const innermost = causes.at(-1);
  if (innermost?.['code'] === 'PLT_KFK_USER')
    return failed(`${checks['UNKNOWN_TOPIC_OR_PARTITION']}: ${innermost.message}`, 'receiver');
  const words = innermost?.message ?? String(error);
  const reason = code === undefined || words.startsWith(code) ? words : `${code} (${words})`;
  return failed(reason, unconnectedCodes.has(code ?? '') ? 'receiver' : undefined);
};

type Cause = Error & Readonly<Record<string, unknown>>;

/** An error and those inside it, the innermost last. */
const causesOf = (error: unknown): readonly Cause[] => {
  if (!(error instanceof Error)) return [];
  const inside = [...(error instanceof AggregateError ? error.errors : []), error.cause];
  return [error as Cause, ...inside.flatMap(causesOf)];
};

const settings = z.strictObject({
  type: z.literal('kafka'),
  ...commonSettings,
  brokers: z.array(z.string().regex(/^(?:\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+):\d{1,5}$/, 'must be HOST:PORT')).min(1),
  topic: z.string().regex(/^[A-Za-z0-9._-]{1,249}$/, 'must be the name of a topic'),
  tls: z.boolean().default(true),
  ca_file: z.string().optional(),
  mechanism: z.enum(['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512']).default('PLAIN'),
  username: z.string().min(1).optional(),
  password: secret.optional(),
  gzip: z.boolean().default(true),
  /** Before packing. The default of a topic's `max.message.bytes` is 1,048,588, with what stands around the events. */
  max_request_bytes: z.int().min(1).default(950_000),
});

type KafkaSettings = z.infer<typeof settings>;

export const kafka = sinkKind({
  settings,
  secrets: ['password'],
  files: ['ca_file'],
  contradictions: ({ username, password, tls, ca_file }) => [
    ...(username !== undefined && password === undefined ? [' needs .password beside .username'] : []),
    ...(username === undefined && password !== undefined ? [' needs .username beside .password'] : []),
    ...(!tls && ca_file !== undefined ? [' has .ca_file, but .tls is false'] : []),
  ],
  warnings: ({ tls, brokers }) => {
    const hosts = brokers.map((broker) => broker.replace(/:\d+$/, '')).filter((host) => !isLoopbackHost(host));
    return tls || hosts.length === 0 ? [] : [`.brokers get events and password without TLS: ${hosts.join(', ')}`];
  },
  create,
});
