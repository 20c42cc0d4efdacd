import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf, OrgtrailError } from '../base/errors.ts';
import type { Config } from './config/config.ts';

/** One Ctrl-C comes up to three times: from the terminal, and passed on by npm and by bin/orgtrail.js. Milliseconds. */
const SAME_INTERRUPT_MS = 1_000;

/** 128 + the signal's number, as shells count. */
const signals = [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const;

/** The first SIGINT or SIGTERM asks for a stop; the second leaves at once. */
export const handleStopSignals = () => {
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
    /** Aborts on the first signal, with the exit code as its reason. */
    signal: stop.signal,
    /** Run before the second signal ends the process; a third one does not wait for it. */
    takeOver: (cleanUp: () => Promise<void>): void => {
      takenOver = true;
      leaveAtOnce = cleanUp;
    },
    isTakenOver: () => takenOver,
    leave,
  };
};

/** A container often starts before its database. */
export const DATABASE_CONNECT_TIMEOUT_MS = 30_000;
/** After the grace of a page in hand, only a statement can be under way, in a database that does not answer. */
export const SHUTDOWN_TIMEOUT_MS = 6_000;
/** For a page under way, after the first signal; the whole must leave within 10 s. */
const GRACE_MS = 4_000;

/** Begin nothing new at once (`stopping`), and a little later, drop what is under way (`signal`). */
export const gracefulStop = (asked: AbortSignal) => {
  const hard = new AbortController();
  const begin = () => void sleep(GRACE_MS, undefined, { ref: false }).then(() => hard.abort(asked.reason));
  if (asked.aborted) begin();
  else asked.addEventListener('abort', begin, { once: true });
  return { stopping: () => asked.aborted, signal: hard.signal };
};

/** A port that is taken, or an address that is not this machine's, is for the operator to mend; anything else is a bug. */
export const cannotListen = (error: unknown, { host, port }: Config['http'], what: string): unknown => {
  const code = codeOf(error) ?? '';
  if (!/^(EADDR|EACCES|ENOTFOUND|EAI_)/.test(code)) return error;
  const message =
    code === 'EADDRINUSE'
      ? `port ${port} is in use on ${host} (${code}); ${what} need it`
      : `cannot listen on ${host} port ${port} (${code}); ${what} need it`;
  return new OrgtrailError('configuration', message, {
    hint: 'set ORGTRAIL_HTTP_PORT to a free port (0: any), and ORGTRAIL_HTTP_HOST to an address of this machine',
  });
};
