import { randomBytes } from 'node:crypto';
import type { Anchor } from './ports.ts';
import { requireToken, timeStampRequest } from './time-stamp-request.ts';

/** It is looked so often whether it is time: the interval counts from the last answer, which another process may have had. */
const LOOK_MS = 3_600_000;
const TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 100_000;

export interface TimeStampOptions {
  readonly name: string;
  readonly url: string;
  readonly intervalMs: number;
}

/**
 * An anchor by RFC 3161: an authority signs when the newest checkpoint of the journal existed, whose statements name the tree of the events.
 * Its answer is the receipt, and a statement says so. An authority keeps nothing, so nothing is read back.
 */
export const timeStampsOf = ({ name, url, intervalMs }: TimeStampOptions): Anchor => ({
  name,
  intervalMs: Math.min(intervalMs, LOOK_MS),
  logs: ['journal'],
  newest: async () => [],
  keepCheckpoint: async ({ note, tilesSize, keptSecondsAgo }) => {
    // Authorities count requests: a process that restarts does not ask before the time.
    if (keptSecondsAgo !== null && keptSecondsAgo * 1_000 < intervalMs) return undefined;
    const request = timeStampRequest(Buffer.from(note), randomBytes(8));
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/timestamp-query' },
      body: Uint8Array.from(request.der),
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const answer = Buffer.from(await response.arrayBuffer());
    if (response.status !== 200) throw new Error(`HTTP ${response.status} from the time-stamping authority`);
    if (answer.length > MAX_ANSWER_BYTES) throw new Error(`the time stamp has ${answer.length} bytes`);
    requireToken(answer, request);
    return { receipt: answer, tilesSize };
  },
});
