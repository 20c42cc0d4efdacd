import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { loadConfig } from '../app/config/config.ts';
import { isLoopbackHost } from '../base/addresses.ts';
import { OrgtrailError, reasonOf } from '../base/errors.ts';
import { printable } from '../base/text.ts';
import { START_OVER } from '../feed/feed.ts';
import type { Scope } from '../postgres/access/access.ts';
import type { CliContext, Given } from './command.ts';

/** Longer than any answer takes that is no stream. */
const ANSWER_TIMEOUT_MS = 60_000;
const MAX_REASON = 500;

export type Daemon = Readonly<{ url: URL; token: string | undefined }>;

/** That of --url, else of ORGTRAIL_URL; undefined: the database is asked. Throws OrgtrailError. */
export const daemonOf = (
  { url: given, tokenFile }: Given<'url' | 'tokenFile'>,
  context: CliContext,
): Daemon | undefined => {
  const named = given === undefined ? undefined : readUrl('--url', given);
  const { http, daemonUrl } = loadConfig(context.env, { needsCredential: false, interactive: context.interactive });
  const url = named ?? (daemonUrl === undefined ? undefined : readUrl('ORGTRAIL_URL', daemonUrl));
  if (url === undefined) {
    if (tokenFile !== undefined) throw new OrgtrailError('usage', '--token-file is the token for --url');
    return undefined;
  }
  const token = tokenFile === undefined ? http.feedToken : readTokenFile(tokenFile);
  if (token !== undefined && url.protocol === 'http:' && !isLoopbackHost(url.hostname)) {
    const name = named === undefined ? 'ORGTRAIL_URL' : '--url';
    context.stderr.write(`orgtrail: ${name} sends the token over plain http to ${url.hostname}\n`);
  }
  return { url, token };
};

/** The text of an answer that is no stream. `order`: the fields of one. */
export const textOf = (daemon: Daemon, path: string, stop: AbortSignal, order?: object): Promise<string> =>
  explainUnreachable(daemon, async () => {
    const signal = AbortSignal.any([stop, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]);
    return await (await send(daemon, path, signal, order)).text();
  });

/** Follows no redirect: the token goes to one host. */
export const send = async (
  { url, token }: Daemon,
  path: string,
  signal: AbortSignal,
  order?: object,
): Promise<Response> => {
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const response = await fetch(`${url.origin}${url.pathname.replace(/\/+$/, '')}${path}`, {
    headers: { ...authorization, ...(order !== undefined && { 'content-type': 'application/json' }) },
    ...(order !== undefined && { method: 'POST', body: JSON.stringify(order) }),
    redirect: 'manual',
    signal,
  });
  if (response.status === 200) return response;
  const scope = order !== undefined ? 'manage' : path.startsWith('/v1/events') ? 'feed' : 'search';
  throw await refusalOf(url, response, scope);
};

/** The feed: what follows the place is no longer there. */
export class GoneError extends OrgtrailError {
  readonly months: readonly string[];
  readonly nextCursor: string;
  constructor(reason: string, months: readonly string[], nextCursor: string) {
    super('usage', reason, { hint: `to continue anyway, pass --cursor ${nextCursor}` });
    this.months = months;
    this.nextCursor = nextCursor;
  }
}

const refusalOf = async (url: URL, response: Response, scope: Scope): Promise<OrgtrailError> => {
  const { status } = response;
  const { reason, hint, missed, months, next_cursor: nextCursor } = problemIn(await response.text());
  if (status === 410 && missed !== undefined && nextCursor !== undefined) {
    return new GoneError(missed, months, nextCursor);
  }
  const message = `${url.origin} answered ${status}${reason === undefined ? '' : `: ${printable(reason, MAX_REASON)}`}`;
  const said = reason === undefined ? message : printable(reason, MAX_REASON);
  if (status === 409) return new OrgtrailError('usage', said, { hint: START_OVER });
  if (status === 400) {
    return new OrgtrailError('usage', said, hint === undefined ? {} : { hint: printable(hint, MAX_REASON) });
  }
  if (status === 401 || status === 403) {
    const isScope = status === 401 || reason?.includes(' scope ') === true;
    if (!isScope) return new OrgtrailError('configuration', message);
    return new OrgtrailError('configuration', message, {
      hint: `give a token with the scope ${scope} by --token-file: orgtrail token create NAME --scope ${scope}`,
    });
  }
  if (status === 429 || status >= 500) return new OrgtrailError('daemon_unreachable', message);
  return new OrgtrailError('configuration', message, { hint: '--url is the address of a daemon, orgtrail run' });
};

const text = z.string().optional().catch(undefined);
const problem = z
  .object({ reason: text, hint: text, missed: text, next_cursor: text, months: z.array(z.string()).catch([]) })
  .catch({ months: [] });

const problemIn = (body: string): z.output<typeof problem> => {
  try {
    return problem.parse(JSON.parse(body));
  } catch {
    return { months: [] };
  }
};

/** A failure on the way means that the daemon does not answer; an abort stays one. */
export const explainUnreachable = async <T>(daemon: Daemon, ask: () => Promise<T>): Promise<T> => {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof OrgtrailError || (error instanceof Error && error.name === 'AbortError')) throw error;
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    throw unreachable(daemon, reasonOf(cause), error);
  }
};

export const unreachable = ({ url }: Daemon, reason: string, cause: unknown): OrgtrailError =>
  new OrgtrailError('daemon_unreachable', `${url.origin}: ${reason}`, {
    hint: 'check that the daemon runs (orgtrail run) and that --url is its address',
    cause,
  });

export const explainForeign = <T>({ url }: Daemon, read: () => T): T => {
  try {
    return read();
  } catch (error) {
    throw new OrgtrailError('configuration', `${url.origin} does not answer as orgtrail does`, {
      hint: '--url is the address of a daemon of this version, orgtrail run',
      cause: error,
    });
  }
};

/** Throws OrgtrailError `usage`. */
const readUrl = (option: string, text: string): URL => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !['http:', 'https:'].includes(url.protocol) || url.search !== '' || url.hash !== '')
    throw new OrgtrailError('usage', `${option} must be the address of a daemon, such as https://orgtrail.example.com`);
  if (url.username !== '' || url.password !== '')
    throw new OrgtrailError(
      'usage',
      `${option} must not have a password: the token is in --token-file or ORGTRAIL_FEED_TOKEN`,
    );
  return url;
};

/** Throws OrgtrailError `configuration` without any of the content. */
export const readTokenFile = (path: string): string => {
  try {
    const token = readFileSync(path, 'utf8').trim();
    if (/^[\x21-\x7e]+$/.test(token)) return token;
  } catch (error) {
    throw new OrgtrailError('configuration', `--token-file cannot be read: ${reasonOf(error)}`);
  }
  throw new OrgtrailError('configuration', '--token-file must have one token and nothing else');
};
