import { z } from 'zod';
import type { DeliveryOutcome } from '../delivery.ts';
import { failedBy, outcomeOfStatus } from '../http/http-outcome.ts';
import type { HttpAnswer } from '../http/http-post.ts';
import type { ReasonText } from '../http/reason-text.ts';

const itemResult = z.object({
  status: z.int(),
  /** With 201 and no error: a data stream with a failure store (8.19 and later) has not taken the document, and put it there. */
  failure_store: z.string().default('not_applicable_or_unknown'),
  error: z
    .object({
      type: z.string().optional(),
      reason: z.string().nullish(),
      caused_by: z.object({ reason: z.string().nullish() }).optional(),
    })
    .optional(),
});
type ItemResult = z.infer<typeof itemResult>;

const bulkAnswer = z.object({ items: z.array(z.object({ create: itemResult })) });

const checks = {
  credential: 'the credential, and that it may create documents in index',
  address: 'url and index',
};

/** Told with HTTP 400 although the documents are as they should be: the index must be mended. */
const indexTroubles = new Set([
  'index_closed_exception',
  'invalid_index_name_exception',
  // Too many shards in the cluster.
  'validation_exception',
]);
/** Of `illegal_argument_exception`, which may be about anything. */
const indexTroubleTexts =
  /no write index|pipeline with id|only write ops with an op_type|data stream timestamp field \[@timestamp\] is missing/;

const isAboutIndex = ({ error }: ItemResult): boolean =>
  indexTroubles.has(error?.type ?? '') || indexTroubleTexts.test(`${error?.reason} ${error?.caused_by?.reason}`);

const isSuccess = (status: number): boolean => status >= 200 && status < 300;

/** 409: it is there already, from an attempt before. */
const isTaken = (item: ItemResult): boolean =>
  item.status === 409 || (isSuccess(item.status) && item.failure_store === 'not_applicable_or_unknown');

const describe = ({ status, error, failure_store: use }: ItemResult): string => {
  if (isSuccess(status)) return `HTTP ${status}, failure store: ${use}`;
  const cause = error?.caused_by?.reason;
  const texts = [error?.reason, cause].filter((text) => typeof text === 'string' && text !== '');
  return `HTTP ${status}, ${error?.type ?? 'no type'}: ${texts.join(': ') || 'no reason'}`;
};

/** What an answer of `_bulk` means for so many documents that were to be created. */
export const bulkOutcome = (answer: HttpAnswer, eventCount: number, reasonText: ReasonText): DeliveryOutcome => {
  if (answer.status !== 200) return outcomeOfStatus(answer, checks, reasonText);
  const items = readItems(answer.body);
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

const readItems = (body: string): readonly ItemResult[] | undefined => {
  try {
    return bulkAnswer.safeParse(JSON.parse(body)).data?.items.map((item) => item.create);
  } catch {
    return undefined;
  }
};
