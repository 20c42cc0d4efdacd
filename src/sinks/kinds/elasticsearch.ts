import { z } from 'zod';
import type { Delivery, DeliveryOutcome, Sink } from '../delivery.ts';
import {
  answerAs,
  createHttpPost,
  failedBy,
  type HttpAnswer,
  isSuccess,
  outcomeOfStatus,
  type ReasonText,
  sinkOver,
} from '../http/http-post.ts';
import { httpSettings, plainHttpWarnings } from '../http/http-settings.ts';
import { commonSettings, headerSecret, jsonFormatSetting, secret, sinkKind } from '../sink-kind.ts';

/** Parts of the answer that are read; errors of the whole request always come in full. */
const ANSWER_PARTS = [
  'errors',
  'items.*.status',
  'items.*.failure_store',
  'items.*.error.type',
  'items.*.error.reason',
  'items.*.error.caused_by.reason',
];

/** Documents are created by `_bulk`, never overwritten, with the key as `_id`: a repeat gets 409 and changes nothing. */
const create = (settings: ElasticsearchSettings): Sink => {
  const url = new URL(settings.url);
  const path = `${url.pathname.replace(/\/+$/, '')}/${encodeURIComponent(settings.index)}/_bulk`;
  const authorization = authorizationOf(settings);
  const http = createHttpPost({
    url: settings.url,
    headers: { 'content-type': 'application/x-ndjson', ...(authorization !== undefined && { authorization }) },
    timeoutMs: settings.timeout,
    caFile: settings.ca_file,
    secrets: allSecrets(settings),
  });
  const deliver = async (delivery: Delivery, signal: AbortSignal): Promise<DeliveryOutcome> => {
    const answer = await http.post(bulkBody(delivery), {
      signal,
      path: `${path}?filter_path=${ANSWER_PARTS.join(',')}`,
      gzip: settings.gzip,
    });
    return bulkOutcome(answer, delivery.events.length, http.reasonText);
  };
  return sinkOver(http, `${url.origin}${path}`, deliver);
};

/** The formatted text as it is: parsing would round large numbers. */
const bulkBody = ({ events }: Delivery): string =>
  events.map(({ key, text }) => `{"create":{"_id":${JSON.stringify(key)}}}\n${text}\n`).join('');

const authorizationOf = ({ username, password, api_key: apiKey }: ElasticsearchSettings): string | undefined => {
  if (apiKey !== undefined) return `ApiKey ${apiKey}`;
  if (username === undefined || password === undefined) return undefined;
  return `Basic ${basicCredential(username, password)}`;
};

const allSecrets = (settings: ElasticsearchSettings): string[] =>
  [settings.password, settings.api_key, ...derivedSecrets(settings)].filter((secret) => secret !== undefined);

const settings = z.strictObject({
  type: z.literal('elasticsearch'),
  ...commonSettings,
  ...httpSettings,
  /** Or data stream. */
  index: z.string().regex(/^[^A-Z\s\\/*?"<>|,#:_+-][^A-Z\s\\/*?"<>|,#:]*$/, 'is not a valid index name'),
  format: jsonFormatSetting('ecs'),
  username: z
    .string()
    .regex(/^[^:]+$/, 'must be a name without a colon')
    .optional(),
  password: secret.optional(),
  /** As `encoded`: base64 of id and key. */
  api_key: headerSecret.optional(),
});

const derivedSecrets = ({ api_key: apiKey, username, password }: ElasticsearchSettings): string[] => {
  if (username !== undefined && password !== undefined) return [basicCredential(username, password)];
  // Base64 of id and key; a receiver may show either.
  const key = apiKey === undefined ? undefined : Buffer.from(apiKey, 'base64').toString('utf8').split(':')[1];
  return key === undefined ? [] : [key];
};

const basicCredential = (username: string, password: string): string =>
  Buffer.from(`${username}:${password}`, 'utf8').toString('base64');

const contradictions = ({ api_key: apiKey, username, password }: ElasticsearchSettings): string[] => {
  const faults: string[] = [];
  if (apiKey !== undefined && (username ?? password) !== undefined) {
    faults.push('.api_key and .username are both set: set only one way of authenticating');
  }
  if ((username === undefined) !== (password === undefined)) faults.push(' needs username and password together');
  return faults;
};

export const elasticsearch = sinkKind({
  settings,
  secrets: ['password', 'api_key'],
  files: ['ca_file'],
  derivedSecrets,
  contradictions,
  warnings: ({ url, password, api_key: apiKey }) =>
    (password ?? apiKey) === undefined ? [] : plainHttpWarnings(url, 'its credential'),
  create,
});

const bulkOutcome = (answer: HttpAnswer, eventCount: number, reasonText: ReasonText): DeliveryOutcome => {
  if (answer.status !== 200) return outcomeOfStatus(answer, checks, reasonText);
  const items = answerAs(bulkAnswer, answer)?.items.map((item) => item.create);
  if (items?.length !== eventCount) {
    const what =
      items === undefined
        ? 'the answer is not one of _bulk: check url'
        : `about ${items.length} of ${eventCount} documents`;
    return failedBy(answer, reasonText(`HTTP 200 ${what}: ${answer.body}`));
  }
  const refused: { index: number; reason: string }[] = [];
  for (const [index, item] of items.entries()) {
    if (isTaken(item)) continue;
    const { status } = item;
    const check = status === 401 || status === 403 ? checks.credential : status === 404 ? checks.address : undefined;
    if (check !== undefined) return failedBy(answer, reasonText(`${describe(item)}: check ${check}`));
    if (status === 429 || status >= 500 || isAboutIndex(item)) return failedBy(answer, reasonText(describe(item)));
    refused.push({ index, reason: reasonText(describe(item)) });
  }
  return { kind: 'delivered', refused };
};

const checks = { credential: 'the credential, and that it may create documents in index', address: 'url and index' };

const itemResult = z.object({
  status: z.int(),
  /** With 201 and no error: a data stream with a failure store (8.19 and later) did not take the document and put it there. */
  failure_store: z.string().default('not_applicable_or_unknown'),
  error: z
    .object({
      type: z.string().optional(),
      reason: z.string().nullish(),
      caused_by: z.object({ reason: z.string().nullish() }).optional(),
    })
    .optional(),
});

const bulkAnswer = z.object({ items: z.array(z.object({ create: itemResult })) });

/** 409: there already, from an earlier attempt. */
const isTaken = (item: ItemResult): boolean =>
  item.status === 409 || (isSuccess(item) && item.failure_store === 'not_applicable_or_unknown');

const describe = ({ status, error, failure_store: use }: ItemResult): string => {
  if (isSuccess({ status })) return `HTTP ${status}, failure store: ${use}`;
  const cause = error?.caused_by?.reason;
  const texts = [error?.reason, cause].filter((text) => typeof text === 'string' && text !== '');
  return `HTTP ${status}, ${error?.type ?? 'no type'}: ${texts.join(': ') || 'no reason'}`;
};

const isAboutIndex = ({ error }: ItemResult): boolean =>
  indexTroubles.has(error?.type ?? '') || indexTroubleTexts.test(`${error?.reason} ${error?.caused_by?.reason}`);

/** HTTP 400 for sound documents: the index must be mended. */
const indexTroubles = new Set([
  'index_closed_exception',
  'invalid_index_name_exception',
  // Too many shards in the cluster.
  'validation_exception',
]);
/** Of `illegal_argument_exception`, which may be about anything. */
const indexTroubleTexts =
  /no write index|pipeline with id|only write ops with an op_type|data stream timestamp field \[@timestamp\] is missing/;

type ElasticsearchSettings = z.infer<typeof settings>;
type ItemResult = z.infer<typeof itemResult>;
