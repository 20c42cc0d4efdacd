import type { DeliveryOutcome, Sink } from '../delivery.ts';
import { failedBy } from '../http/http-outcome.ts';
import type { HttpAnswer } from '../http/http-post.ts';
import { createHttpSink } from '../http/http-sink.ts';
import { createReasonText, type ReasonText } from '../http/reason-text.ts';
import { textBytes } from '../outgoing.ts';
import type { SinkKind } from '../sink-kind.ts';
import { auditRecord } from './audit-record.ts';
import { createEntraTokens, NoToken } from './entra-token.ts';
import { type SentinelSettings, sentinelSettings } from './settings.ts';

const API_VERSION = '2023-01-01';
const checks = {
  credential: 'that the identity has the role Monitoring Metrics Publisher on the data collection rule',
  address: 'url, rule and stream',
};

/** Pushes to a table of Log Analytics, by the Logs Ingestion API. It does not look for repeats: they show by the column `Key`. */
const create = (settings: SentinelSettings): Sink => {
  const { url: base, rule, stream, client_secret: secret } = settings;
  const secrets = secret === undefined ? [] : [secret];
  const tokens = createEntraTokens(settings, createReasonText(secrets));
  const address = `${base.replace(/\/+$/, '')}/dataCollectionRules/${rule}/streams/${stream}`;
  return createHttpSink({
    url: `${address}?api-version=${API_VERSION}`,
    target: address,
    headers: {},
    authorize: async (signal) => {
      try {
        return { kind: 'authorized', secret: await tokens.get(signal) };
      } catch (error) {
        if (error instanceof NoToken) return { kind: 'failed', reason: error.message, because: 'receiver' };
        throw error;
      }
    },
    readTrouble: (answer, reasonText) => {
      if (answer.status === 401) tokens.drop();
      return outcomeOfBadRequest(answer, reasonText);
    },
    timeoutMs: settings.timeout,
    caFile: settings.ca_file,
    secrets,
    gzip: settings.gzip,
    body: 'array',
    format: settings.format,
    write: auditRecord,
    // Azure cuts a column that is longer. Each is the event in its format, or a part of the entry.
    eventBytes: (outgoing) => Math.max(textBytes(outgoing), Buffer.byteLength(outgoing.event.rawText, 'utf8')),
    maxRequestBytes: settings.max_request_bytes,
    checks,
  });
};

/** Azure does not judge single events: 400 means the stream or the rule, for which no event must become a dead letter. */
const outcomeOfBadRequest = (answer: HttpAnswer, reasonText: ReasonText): DeliveryOutcome | undefined =>
  answer.status === 400
    ? failedBy(
        answer,
        reasonText(`HTTP 400: check stream, and the streams and the transformation of the rule: ${answer.body}`),
      )
    : undefined;

export const sentinel: SinkKind<typeof sentinelSettings.settings> = { ...sentinelSettings, create };
