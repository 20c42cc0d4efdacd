import { z } from 'zod';
import type { DeliveryOutcome } from '../delivery.ts';
import { failedBy } from '../http/http-outcome.ts';
import type { HttpAnswer } from '../http/http-post.ts';
import type { ReasonText } from '../http/reason-text.ts';

const ingestAnswer = z.object({
  ingested: z.int(),
  failed: z.int(),
  failures: z.array(z.object({ error: z.string() })).nullish(),
});

/**
 * What 2xx means for so many events: Axiom counts those that it does not take in, and does not say which they are. They are found by
 * halves, in which it is sent the others once more.
 */
export const axiomOutcome = (answer: HttpAnswer, eventCount: number, reasonText: ReasonText): DeliveryOutcome => {
  const said = readAnswer(answer.body);
  if (said === undefined || said.ingested + said.failed !== eventCount) {
    const reason = reasonText(
      `HTTP ${answer.status} does not say that ${eventCount} events came: check url: ${answer.body}`,
    );
    return failedBy(answer, reason);
  }
  if (said.failed === 0) return { kind: 'delivered', refused: [] };
  const why = said.failures?.[0]?.error ?? 'no reason given';
  return { kind: 'refused', reason: reasonText(`${said.failed} of ${eventCount} events failed: ${why}`) };
};

const readAnswer = (body: string): z.infer<typeof ingestAnswer> | undefined => {
  try {
    return ingestAnswer.safeParse(JSON.parse(body)).data;
  } catch {
    return undefined;
  }
};
