import type { Config } from '../config/config.ts';
import { OrgtrailError } from '../errors.ts';

/** A port that is taken, or an address that is not this machine's, is for the operator to mend; anything else is a bug. */
export const cannotListen = (error: unknown, { host, port }: Config['http'], what: string): unknown => {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (!/^(EADDR|EACCES|ENOTFOUND|EAI_)/.test(code)) return error;
  const message =
    code === 'EADDRINUSE'
      ? `port ${port} is in use on ${host} (${code}); ${what} need it`
      : `cannot listen on ${host} port ${port} (${code}); ${what} need it`;
  return new OrgtrailError('configuration', message, {
    hint: 'set ORGTRAIL_HTTP_PORT to a free port (0: any), and ORGTRAIL_HTTP_HOST to an address of this machine',
  });
};
