import { setTimeout as sleep } from 'node:timers/promises';

/** How long a page that is under way may still take after the first signal; the whole must leave within 10 s. */
const GRACE_MS = 4_000;

/** What work is told about a stop: begin nothing new at once, and a little later, drop what is under way. */
export interface GracefulStop {
  readonly stopping: () => boolean;
  readonly signal: AbortSignal;
}

/** Turns the first signal of the process into a stop that lets the page in hand be finished. */
export const gracefulStop = (asked: AbortSignal): GracefulStop => {
  const hard = new AbortController();
  const begin = () => {
    void sleep(GRACE_MS, undefined, { ref: false }).then(() => hard.abort(asked.reason));
  };
  if (asked.aborted) begin();
  else asked.addEventListener('abort', begin, { once: true });
  return { stopping: () => asked.aborted, signal: hard.signal };
};
