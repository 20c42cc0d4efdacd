import { setTimeout as sleep } from 'node:timers/promises';
import { OrgtrailError, reasonOf } from '../../errors.ts';
import { printSearch, type Search } from '../../search/search.ts';
import { printable } from '../output/terminal-table.ts';
import { readLastLine, readPageBody, readSummaryBody } from './daemon-answers.ts';
import type { AskedPage, SearchClient } from './search-client.ts';
import { shownOf } from './shown-event.ts';

/** Longer than any page may take; an export may take hours. */
const PAGE_TIMEOUT_MS = 60_000;
const LOOK_EVERY_MS = 1_000;
const MAX_REASON = 500;

interface Daemon {
  readonly url: URL;
  readonly token: string | undefined;
}

type Ask = (path: string, more: Readonly<Record<string, string>>, signal?: AbortSignal) => Promise<Response>;

/** A search at the HTTP port of a daemon. `search` has no faults but for names that the daemon does not know. */
export const daemonClient = (daemon: Daemon, search: Search, stop: AbortSignal): SearchClient => {
  const ask: Ask = (path, more, signal = stop) => {
    const query = printSearch(search);
    for (const [name, value] of Object.entries(more)) query.set(name, value);
    return send(daemon, `${path}?${query}`, signal);
  };
  const textOf = (path: string, more: Readonly<Record<string, string>>) =>
    answered(daemon, async () => {
      const signal = AbortSignal.any([stop, AbortSignal.timeout(PAGE_TIMEOUT_MS)]);
      return await (await ask(path, more, signal)).text();
    });
  const pageText = ({ cursor, limit }: AskedPage) =>
    textOf('/v1/search', { limit: String(limit), ...(cursor !== undefined && { cursor }) });
  const page = async (asked: AskedPage) => {
    const text = await pageText(asked);
    return understood(daemon, () => readPageBody(JSON.parse(text), search, Date.now()));
  };
  return {
    search,
    page,
    pageJson: async function* (asked) {
      yield await pageText(asked);
    },
    summary: async () => {
      const text = await textOf('/v1/search/summary', { exact: 'true' });
      return understood(daemon, () => readSummaryBody(JSON.parse(text)));
    },
    coverage: async () => (await page({ cursor: undefined, limit: 1 })).coverage,
    export: async function* (format, signal) {
      const { body } = await answered(daemon, () => ask('/v1/search', { format }, signal));
      if (body === null) return;
      try {
        yield* body;
      } catch (error) {
        signal.throwIfAborted();
        throw unreachable(daemon, `the download was cut off: ${reasonOf(error)}`, error);
      }
    },
    arrivals: async (after) => {
      const text = await textOf('/v1/search/arrivals', after === undefined ? {} : { after: String(after) });
      return understood(daemon, () => {
        const lines = text.trimEnd().split('\n');
        const last = readLastLine(lines.pop() ?? '');
        return { ...last, lines, events: lines.map((line) => shownOf(JSON.parse(line))) };
      });
    },
    waitBeyond: (_position, signal) => sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => {}),
  };
};

/** Never follows to another address: the token goes to one host. */
const send = async ({ url, token }: Daemon, path: string, signal: AbortSignal): Promise<Response> => {
  const response = await fetch(`${url.origin}${url.pathname.replace(/\/+$/, '')}${path}`, {
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    redirect: 'manual',
    signal,
  });
  if (response.status !== 200) throw await refusalOf(url, response);
  return response;
};

const refusalOf = async (url: URL, response: Response): Promise<OrgtrailError> => {
  const { status } = response;
  const reason = reasonIn(await response.text());
  const message = `${url.origin} answered ${status}${reason === undefined ? '' : `: ${printable(reason, MAX_REASON)}`}`;
  if (status === 400) return new OrgtrailError('usage', reason === undefined ? message : printable(reason, MAX_REASON));
  if (status === 401 || status === 403) {
    return new OrgtrailError('configuration', message, {
      hint: 'give a token with the scope search by --token-file: orgtrail token create NAME --scope search',
    });
  }
  if (status === 429 || status >= 500) return new OrgtrailError('daemon_unreachable', message);
  return new OrgtrailError('configuration', message, { hint: '--url is the address of a daemon, orgtrail run' });
};

const reasonIn = (body: string): string | undefined => {
  try {
    const { reason } = JSON.parse(body);
    return typeof reason === 'string' ? reason : undefined;
  } catch {
    return undefined;
  }
};

/** What fails on the way is the daemon that does not answer; an abort stays one. */
const answered = async <T>(daemon: Daemon, ask: () => Promise<T>): Promise<T> => {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof OrgtrailError || (error instanceof Error && error.name === 'AbortError')) throw error;
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    throw unreachable(daemon, reasonOf(cause), error);
  }
};

const unreachable = ({ url }: Daemon, reason: string, cause: unknown): OrgtrailError =>
  new OrgtrailError('daemon_unreachable', `${url.origin}: ${reason}`, {
    hint: 'check that the daemon runs (orgtrail run) and that --url is its address',
    cause,
  });

const understood = <T>({ url }: Daemon, read: () => T): T => {
  try {
    return read();
  } catch (error) {
    throw new OrgtrailError('configuration', `${url.origin} does not answer as orgtrail does`, {
      hint: '--url is the address of a daemon of this version, orgtrail run',
      cause: error,
    });
  }
};
