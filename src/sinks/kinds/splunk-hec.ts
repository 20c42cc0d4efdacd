import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { Delivery, DeliveryOutcome, OutgoingEvent, Sink } from '../delivery.ts';
import {
  answerAs,
  createHttpPost,
  failedBy,
  type HttpAnswer,
  type HttpPost,
  NoAnswer,
  outcomeOfStatus,
  type ReasonText,
  sinkOver,
} from '../http/http-post.ts';
import { httpSettings, plainHttpWarnings } from '../http/http-settings.ts';
import { jsonSplicer } from '../http/http-sink.ts';
import { commonSettings, durationMs, headerSecret, sinkKind } from '../sink-kind.ts';

/** Splunk writes to disk every few seconds; asking more often brings nothing. */
const ACK_POLL_MS = { first: 250, most: 5_000 } as const;

interface Hec {
  readonly settings: SplunkHecSettings;
  readonly http: HttpPost;
  readonly eventPath: string;
  readonly ackPath: string;
  readonly write: (event: OutgoingEvent) => string;
}

/** Delivered is what Splunk has indexed with `ack`, otherwise what it took in. It does not look for repeats: they show by the field `key`. */
const create = (settings: SplunkHecSettings): Sink => {
  const url = new URL(settings.url);
  const collector = `${url.pathname.replace(/\/+$/, '').replace(/\/services\/collector(\/event)?$/, '')}/services/collector`;
  const channel = { 'x-splunk-request-channel': channelOf(settings) };
  const http = createHttpPost({
    url: settings.url,
    headers: {
      authorization: `Splunk ${settings.token}`,
      'content-type': 'application/json',
      ...(settings.ack && channel),
    },
    timeoutMs: settings.timeout,
    caFile: settings.ca_file,
    secrets: [settings.token],
  });
  const hec: Hec = {
    settings,
    http,
    eventPath: `${collector}/event`,
    ackPath: `${collector}/ack`,
    write: eventWriter(settings),
  };
  let ackIsOn = !settings.ack;
  const deliver = async (delivery: Delivery, signal: AbortSignal): Promise<DeliveryOutcome> => {
    if (!ackIsOn) {
      const trouble = await whyNoAck(hec, signal);
      if (trouble !== undefined) return trouble;
      ackIsOn = true;
    }
    return await sendWithoutRefused(hec, delivery, signal);
  };
  return sinkOver(http, `${url.origin}${hec.eventPath}`, deliver);
};

/** The same GUID in every process: acknowledgements are asked for on the channel of the events. */
const channelOf = ({ url, index, source }: SplunkHecSettings): string => {
  const hex = createHash('sha256')
    .update(JSON.stringify(['orgtrail', url, index, source]))
    .digest('hex');
  return hex.replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*$/, '$1-$2-8$3-8$4-$5');
};

/** Asked before anything is sent: without acknowledgement every attempt would fail and leave the events once more. */
const whyNoAck = async ({ http, ackPath }: Hec, signal: AbortSignal): Promise<DeliveryOutcome | undefined> => {
  const answer = await http.post('{"acks":[0]}', { signal, path: ackPath });
  if (answerAs(hecAnswer, answer)?.code !== 14) return undefined;
  const verdict = hecVerdict(answer, 0, http.reasonText);
  return verdict.kind === 'outcome' ? verdict.outcome : undefined;
};

/** Splunk stops at a refused event and has taken those before it, though no answer says so: all others go out again. */
const sendWithoutRefused = async (hec: Hec, { events }: Delivery, signal: AbortSignal): Promise<DeliveryOutcome> => {
  const lines = events.map(hec.write);
  const refused: { index: number; reason: string }[] = [];
  let rest = events.map((_, index) => index);
  while (rest.length > 0) {
    const body = rest.map((index) => lines[index]).join('\n');
    const answer = await hec.http.post(body, { signal, path: hec.eventPath, gzip: hec.settings.gzip });
    const verdict = hecVerdict(answer, rest.length, hec.http.reasonText);
    if (verdict.kind === 'outcome') return verdict.outcome;
    if (verdict.kind === 'taken') {
      const lost = hec.settings.ack ? await whyNotIndexed(hec, verdict.ackId, signal) : undefined;
      if (lost !== undefined) return { kind: 'failed', reason: lost, because: 'slow' };
      break;
    }
    refused.push({ index: rest[verdict.eventNumber] ?? 0, reason: verdict.reason });
    rest = rest.filter((_, number) => number !== verdict.eventNumber);
  }
  return { kind: 'delivered', refused: refused.sort((a, b) => a.index - b.index) };
};

/** Asks until all is indexed; of what Splunk forgot in a restart it never says that. */
const whyNotIndexed = async (hec: Hec, ackId: number | undefined, signal: AbortSignal): Promise<string | undefined> => {
  if (ackId === undefined)
    return 'the answer has no ackId: check that the token has indexer acknowledgement, or set ack to false';
  const giveUpAt = performance.now() + hec.settings.ack_timeout;
  let pauseMs: number = ACK_POLL_MS.first;
  let lastTrouble = '';
  do {
    await sleep(pauseMs, undefined, { signal });
    pauseMs = Math.min(pauseMs * 2, ACK_POLL_MS.most);
    const trouble = await whyNotAcknowledged(hec, ackId, signal);
    if (trouble === undefined) return undefined;
    lastTrouble = trouble;
  } while (performance.now() < giveUpAt);
  return hec.http.reasonText(`not acknowledged within ${hec.settings.ack_timeout} ms${lastTrouble}`);
};

const whyNotAcknowledged = async (hec: Hec, ackId: number, signal: AbortSignal): Promise<string | undefined> => {
  try {
    const answer = await hec.http.post(`{"acks":[${ackId}]}`, { signal, path: hec.ackPath });
    if (answer.status !== 200) return `; HTTP ${answer.status}: ${answer.body}`;
    return answerAs(hecAnswer, answer)?.acks?.[String(ackId)] === true ? undefined : '';
  } catch (error) {
    if (error instanceof NoAnswer) return `; ${error.message}`;
    throw error;
  }
};

const LATEST_TIME_MS = Date.UTC(2100, 0);

/** Splunk takes no time before 1970: such entries get the time of receipt, like those without a time. */
const epochSeconds = ({ event }: OutgoingEvent): string => {
  const actionMs = event.actionTime === null ? Number.NaN : Date.parse(event.actionTime);
  const usable = actionMs >= 0 && actionMs < LATEST_TIME_MS;
  return ((usable ? actionMs : Date.parse(event.receivedAt)) / 1_000).toFixed(3);
};

const eventWriter = (settings: SplunkHecSettings): ((event: OutgoingEvent) => string) => {
  const asJson = jsonSplicer(settings.format);
  const { host, source, sourcetype, index } = settings;
  const metadata = JSON.stringify({ host, source, sourcetype, index }).slice(1, -1);
  return (outgoing) => {
    const { key, event, text } = outgoing;
    // Indexed fields are flat texts.
    const fields = JSON.stringify({ key, position: String(event.position), feed_id: event.feedId });
    return `{"time":${epochSeconds(outgoing)},${metadata},"fields":${fields},"event":${asJson(text)}}`;
  };
};

const settings = z.strictObject({
  type: z.literal('splunk_hec'),
  ...commonSettings,
  ...httpSettings,
  token: headerSecret,
  /** Default: the token's own. */
  index: z.string().min(1).optional(),
  host: z.string().min(1).optional(),
  source: z.string().min(1).default('orgtrail'),
  sourcetype: z.string().min(1).optional(),
  /** The token has indexer acknowledgement: delivered is what is indexed. */
  ack: z.boolean().default(false),
  /** Limit of asking for an acknowledgement. */
  ack_timeout: durationMs('5m'),
});

export const splunkHec = sinkKind({
  settings,
  secrets: ['token'],
  files: ['ca_file'],
  warnings: ({ url }) => plainHttpWarnings(url, 'its credential'),
  create,
});

const hecAnswer = z.object({
  code: z.int().optional(),
  text: z.string().optional(),
  ackId: z.int().nonnegative().optional(),
  'invalid-event-number': z.int().nonnegative().optional(),
  acks: z.record(z.string(), z.boolean()).optional(),
});

const hecVerdict = (answer: HttpAnswer, eventCount: number, reasonText: ReasonText): HecVerdict => {
  const said = answerAs(hecAnswer, answer);
  const code = said?.code;
  const outcome = (result: DeliveryOutcome): HecVerdict => ({ kind: 'outcome', outcome: result });
  if (answer.status === 200) {
    if (code === 0) return { kind: 'taken', ackId: said?.ackId };
    return outcome(failedBy(answer, reasonText(`HTTP 200 without a success code of HEC: check url: ${answer.body}`)));
  }
  if (answer.status === 400 && code !== undefined) {
    const reason = `HTTP 400, code ${code} (${said?.text ?? 'no text'})`;
    const setting = settingCodes[code];
    if (setting !== undefined) return outcome(failedBy(answer, reasonText(`${reason}: check ${setting}`)));
    const eventNumber = said?.['invalid-event-number'];
    if (contentCodes.has(code) && eventNumber !== undefined && eventNumber < eventCount) {
      return { kind: 'event refused', eventNumber, reason: reasonText(reason) };
    }
  }
  return outcome(outcomeOfStatus(answer, checks, reasonText));
};

/** What to check for faults of the configuration that HEC answers with HTTP 400, which otherwise means the content. */
const settingCodes: Readonly<Record<number, string>> = {
  5: 'the proxy in between: the collector received no data',
  7: 'index, and the indexes that the token allows',
  10: 'ack: the token requires indexer acknowledgement',
  11: 'the proxy in between: the collector does not accept the channel',
  14: 'ack: the token has no indexer acknowledgement',
  16: 'token',
};

/** Invalid data format, event field required, event field blank, error in handling indexed fields. */
const contentCodes = new Set([6, 12, 13, 15]);

const checks = {
  credential: 'token, and that it is enabled',
  address: 'url, which must have host and port of the collector',
};

type SplunkHecSettings = z.infer<typeof settings>;

type HecVerdict =
  | { readonly kind: 'taken'; readonly ackId: number | undefined }
  /** It stopped at this one, counted from 0. */
  | { readonly kind: 'event refused'; readonly eventNumber: number; readonly reason: string }
  | { readonly kind: 'outcome'; readonly outcome: DeliveryOutcome };
