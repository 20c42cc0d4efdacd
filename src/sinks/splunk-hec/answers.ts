import { z } from 'zod';
import type { DeliveryOutcome } from '../delivery.ts';
import { failedBy, outcomeOfStatus } from '../http/http-outcome.ts';
import type { HttpAnswer } from '../http/http-post.ts';
import type { ReasonText } from '../http/reason-text.ts';

const hecAnswer = z.object({
  code: z.int().optional(),
  text: z.string().optional(),
  ackId: z.int().nonnegative().optional(),
  'invalid-event-number': z.int().nonnegative().optional(),
  acks: z.record(z.string(), z.boolean()).optional(),
});

/** What an answer of HEC says; undefined for one that is none of HEC's. */
export const readHecAnswer = (answer: HttpAnswer): z.infer<typeof hecAnswer> | undefined => {
  try {
    return hecAnswer.safeParse(JSON.parse(answer.body)).data;
  } catch {
    return undefined;
  }
};

/** Invalid data format, event field required, event field blank, error in handling indexed fields. */
const contentCodes = new Set([6, 12, 13, 15]);

/** Faults of the configuration that HEC tells with HTTP 400, which otherwise means the content. What to check. */
const settingCodes: Readonly<Record<number, string>> = {
  5: 'the proxy in between: the collector received no data',
  7: 'index, and the indexes that the token allows',
  10: 'ack: the token requires indexer acknowledgement',
  11: 'the proxy in between: the collector does not accept the channel',
  14: 'ack: the token has no indexer acknowledgement',
  16: 'token',
};

const checks = {
  credential: 'token, and that it is enabled',
  address: 'url, which must have host and port of the collector',
};

/** What the collector makes of a request with events. */
export type HecVerdict =
  | { readonly kind: 'taken'; readonly ackId: number | undefined }
  /** It stopped at this one, counted from 0 in the request. */
  | { readonly kind: 'event refused'; readonly eventNumber: number; readonly reason: string }
  | { readonly kind: 'outcome'; readonly outcome: DeliveryOutcome };

/** Reads the answer to a request with so many events. */
export const hecVerdict = (answer: HttpAnswer, eventCount: number, reasonText: ReasonText): HecVerdict => {
  const said = readHecAnswer(answer);
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
