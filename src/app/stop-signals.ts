/** One Ctrl-C comes up to three times: from the terminal, and passed on by npm and by bin/orgtrail.js. Milliseconds. */
const SAME_INTERRUPT_MS = 1_000;

/** 128 + the signal's number, as shells count. */
const signals = [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const;

export interface StopSignals {
  /** Aborts on the first signal, with the exit code as its reason. */
  readonly signal: AbortSignal;
  /** `leaveAtOnce` is run before the second signal ends the process; a third one does not wait for it. */
  takeOver(leaveAtOnce: () => Promise<void>): void;
  isTakenOver(): boolean;
  /** Ends the process at once, after `leaveAtOnce`. */
  leave(code: number): void;
}

/** The first SIGINT or SIGTERM asks for a stop; the second leaves at once. Called by main.ts, before anything else. */
export const handleStopSignals = (): StopSignals => {
  const stop = new AbortController();
  let askedAt = 0;
  let takenOver = false;
  let leaveAtOnce: (() => Promise<void>) | undefined;
  const leave = (code: number): void => {
    const cleanUp = leaveAtOnce;
    leaveAtOnce = undefined;
    if (cleanUp === undefined) process.exit(code);
    void cleanUp().finally(() => process.exit(code));
  };
  for (const [signal, code] of signals) {
    process.on(signal, () => {
      const repeated = signal === 'SIGINT' && performance.now() - askedAt < SAME_INTERRUPT_MS;
      if (stop.signal.aborted && repeated) return;
      askedAt = performance.now();
      if (!stop.signal.aborted) return stop.abort(code);
      if (leaveAtOnce !== undefined) process.stderr.write('\norgtrail: exiting immediately\n');
      leave(code);
    });
  }
  return {
    signal: stop.signal,
    takeOver: (cleanUp) => {
      takenOver = true;
      leaveAtOnce = cleanUp;
    },
    isTakenOver: () => takenOver,
    leave,
  };
};
