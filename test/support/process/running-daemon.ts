import { type OrgtrailProcess, startOrgtrail } from './orgtrail-process.ts';

/** A real daemon and its health. Leaving the scope stops it. */
export interface RunningDaemon extends AsyncDisposable {
  readonly process: OrgtrailProcess;
  /** The bodies of its endpoints. */
  get(path: string): Promise<{ readonly code: number; readonly text: string; readonly headers: Headers }>;
  /** Sends SIGTERM and resolves with the exit code. */
  stop(): Promise<number | string>;
}

/** `orgtrail run`, ticking every second unless `env` says otherwise; resolves once it serves. */
export const startDaemonProcess = async (
  env: Readonly<Record<string, string>>,
  within: readonly string[] = [],
): Promise<RunningDaemon> => {
  const whole = { ORGTRAIL_SCHEDULE: '* * * * * *', ...env, ORGTRAIL_HTTP_PORT: '0' };
  const process = startOrgtrail(['run'], whole, { within });
  await process.waitFor('orgtrail started');
  const url = /"url":"([^"]+)"/.exec(process.stdout())?.[1] ?? '';
  const stop = async () => {
    process.child.kill('SIGCONT');
    process.child.kill('SIGTERM');
    return await process.ended;
  };
  return {
    process,
    get: async (path) => {
      const response = await fetch(`${url}${path}`);
      return { code: response.status, text: await response.text(), headers: response.headers };
    },
    stop,
    [Symbol.asyncDispose]: async () => void (await stop()),
  };
};
