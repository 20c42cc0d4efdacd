import { type OrgtrailProcess, startOrgtrail } from './orgtrail-process.ts';

/** A real daemon and its health. Leaving the scope stops it. */
/** What tests read of a part of `/healthz`. */
interface PartOfHealth {
  readonly name?: string;
  readonly organization_id?: string;
  readonly state: string;
  readonly last_error?: string;
  readonly age_seconds?: number;
  readonly position?: number;
  readonly lag_events?: number;
  readonly unanchored?: boolean;
  readonly old_key_until?: string;
  readonly anchors?: readonly { readonly last_error?: string }[];
}

interface Health extends Readonly<Record<'discovery' | 'evidence' | 'api', PartOfHealth>> {
  readonly status: string;
  readonly sinks: readonly PartOfHealth[];
  readonly sources: readonly PartOfHealth[];
  readonly retention_wait?: unknown;
}

export interface RunningDaemon extends AsyncDisposable {
  readonly process: OrgtrailProcess;
  /** The bodies of its endpoints. */
  get(path: string): Promise<{ readonly code: number; readonly text: string; readonly headers: Headers }>;
  /** What `/healthz` says. */
  health(): Promise<Health>;
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
  const get = async (path: string) => {
    const response = await fetch(`${url}${path}`);
    return { code: response.status, text: await response.text(), headers: response.headers };
  };
  return {
    process,
    get,
    health: async () => JSON.parse((await get('/healthz')).text),
    stop,
    [Symbol.asyncDispose]: async () => void (await stop()),
  };
};
