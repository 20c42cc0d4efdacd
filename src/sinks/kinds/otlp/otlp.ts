import { z } from 'zod';
import { version } from '../../../base/package-files.ts';
import { readAuditEntry } from '../../../formats/audit-entry.ts';
import { classify, eventKind } from '../../../formats/classification.ts';
import { eventInstant, receivedInstant } from '../../../formats/format.ts';
import type { Delivery, DeliveryOutcome, OutgoingEvent, Sink } from '../../delivery.ts';
import {
  answerAs,
  createHttpPost,
  delivered,
  failedBy,
  type HttpAnswer,
  isSuccess,
  outcomeOfStatus,
  type ReasonText,
  sinkOver,
} from '../../http/http-post.ts';
import { headersSetting, httpSettings, plainHttpWarnings, secretsOfHeaders } from '../../http/http-settings.ts';
import { commonSettings, headerSecret, sinkKind } from '../../sink-kind.ts';
import { attribute, type LogRecord, readAnswer, readStatus, textValue, writeRequest } from './otlp-messages.ts';

const PROTOBUF = 'application/x-protobuf';
const checks = { credential: 'token and headers', address: 'url, to which /v1/logs is added' };

/** OTLP/HTTP 1.5: logs as protobuf. The receiver does not look for repeats: they show by `log.record.uid`. */
const create = (settings: OtlpSettings): Sink => {
  const { token, headers, max_request_bytes: maxRequestBytes } = settings;
  const url = `${settings.url.replace(/\/+$/, '')}/v1/logs`;
  const http = createHttpPost({
    url,
    headers: {
      'content-type': PROTOBUF,
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...headers,
    },
    timeoutMs: settings.timeout,
    caFile: settings.ca_file,
    secrets: [...(token === undefined ? [] : [token]), ...secretsOfHeaders(headers)],
  });
  const deliver = async ({ events }: Delivery, signal: AbortSignal): Promise<DeliveryOutcome> => {
    const body = writeRequest(resource, scope, events.map(recordOf));
    if (maxRequestBytes !== undefined && body.length > maxRequestBytes) {
      signal.throwIfAborted();
      const reason = `not sent: it takes ${body.length} bytes, and max_request_bytes is ${maxRequestBytes}`;
      return { kind: 'refused', reason };
    }
    const answer = await http.post(body, { signal, gzip: settings.gzip });
    return outcomeOf(answer, events.length, http.reasonText);
  };
  return sinkOver(http, url, deliver);
};

const scope = { name: 'orgtrail', version };
const resource = [...attribute('service.name', 'orgtrail'), ...attribute('service.version', version)];

const recordOf = ({ event, finding, key, text }: OutgoingEvent): LogRecord => {
  const entry = readAuditEntry(event);
  const { texts } = entry;
  const severity = finding?.severity ?? classify(entry).severity;
  return {
    timeUnixNano: nanoseconds(eventInstant(event)),
    observedTimeUnixNano: nanoseconds(receivedInstant(event)),
    severityNumber: severityNumbers[severity] ?? severityNumbers['informational'],
    severityText: severity,
    body: textValue(text),
    eventName: finding === undefined ? `cloudflare.audit.${eventKind(entry)}` : `orgtrail.finding.${finding.detection}`,
    attributes: [
      ...attribute('log.record.uid', key),
      ...attribute('orgtrail.position', BigInt(event.position)),
      ...attribute('orgtrail.feed_id', event.feedId),
      ...attribute('cloud.provider', 'cloudflare'),
      ...attribute('cloud.account.id', event.accountId),
      ...attribute('cloudflare.organization.id', event.organizationId),
      ...attribute('user.id', texts.actorId),
      ...attribute('user.email', texts.actorEmail),
      ...attribute('client.address', finding?.actorIpAddress ?? texts.actorIpAddress),
      ...attribute('cloudflare.action.type', finding?.actionType ?? texts.actionType),
      ...attribute('cloudflare.action.result', finding?.actionResult ?? texts.actionResult),
      ...attribute('cloudflare.resource.type', finding?.resourceType ?? texts.resourceType),
    ],
  };
};

/** INFO, INFO2, WARN, ERROR, ERROR2: as the data model puts syslog's informational, notice, warning, error and critical. */
const severityNumbers: Readonly<Record<string, number>> & { readonly informational: number } = {
  informational: 9,
  low: 10,
  medium: 13,
  high: 17,
  critical: 18,
};

/** 0, which means unknown, before 1970 and beyond 64 bits. */
const nanoseconds = (instant: string): bigint => {
  const ms = Date.parse(instant);
  const fraction = (/\.(\d+)/.exec(instant)?.[1] ?? '').slice(0, 9).padEnd(9, '0');
  const ns = BigInt(Math.floor(ms / 1_000)) * 1_000_000_000n + BigInt(fraction);
  return ns < 0n || BigInt.asUintN(64, ns) !== ns ? 0n : ns;
};

/** A receiver that rejects some says how many, not which: they are found by halves, so it gets the others again. */
const outcomeOf = (answer: HttpAnswer, eventCount: number, reasonText: ReasonText): DeliveryOutcome => {
  if (!isSuccess(answer)) {
    const said = isProtobuf(answer) ? readOr(undefined, () => readStatus(answer.bytes)) : undefined;
    return outcomeOfStatus(said === undefined ? answer : { ...answer, body: said }, checks, reasonText);
  }
  const { rejected, message } = rejectionOf(answer);
  if (rejected === undefined) {
    const why = `HTTP ${answer.status} is no answer of OTLP: check ${checks.address}: ${answer.body}`;
    return failedBy(answer, reasonText(why));
  }
  if (rejected === 0n) return delivered;
  return { kind: 'refused', reason: reasonText(`${rejected} of ${eventCount} log records rejected: ${message}`) };
};

const isProtobuf = ({ contentType }: HttpAnswer): boolean => contentType?.startsWith(PROTOBUF) === true;

/** `rejected` is undefined if the server does not speak OTLP. Some answer in JSON, whatever they were asked in. */
const rejectionOf = (answer: HttpAnswer): Readonly<{ rejected: bigint | undefined; message: string }> => {
  if (answer.bytes.length === 0) return { rejected: 0n, message: '' };
  const read = isProtobuf(answer)
    ? readOr(undefined, () => ({ partialSuccess: readAnswer(answer.bytes) }))
    : answerAs(jsonAnswer, answer);
  if (read === undefined) return { rejected: undefined, message: '' };
  const { rejectedLogRecords = 0n, errorMessage = '' } = read.partialSuccess ?? {};
  return { rejected: rejectedLogRecords, message: errorMessage };
};

const jsonAnswer = z.strictObject({
  partialSuccess: z
    .object({ rejectedLogRecords: z.coerce.bigint().optional(), errorMessage: z.string().optional() })
    .nullish(),
});

const readOr = <T, O>(otherwise: O, read: () => T): T | O => {
  try {
    return read();
  } catch {
    return otherwise;
  }
};

const settings = z.strictObject({
  type: z.literal('otlp'),
  ...commonSettings,
  ...httpSettings,
  headers: headersSetting,
  token: headerSecret.optional(),
  /** Before packing. */
  max_request_bytes: z.int().min(1).optional(),
});

type OtlpSettings = z.infer<typeof settings>;

export const otlp = sinkKind({
  settings,
  secrets: ['headers', 'token'],
  files: ['ca_file'],
  derivedSecrets: ({ headers }) => secretsOfHeaders(headers),
  contradictions: ({ token, headers }) =>
    token !== undefined && headers['authorization'] !== undefined
      ? ['.token and .headers.authorization are both set: set only one']
      : [],
  warnings: ({ url }) => plainHttpWarnings(url, 'its headers and events'),
  create,
});
