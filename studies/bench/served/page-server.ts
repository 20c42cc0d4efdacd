// A Cloudflare that costs next to nothing to ask: the simulator's own entries, read from it once and then served from memory, from
// a process of its own. Started by page-source.ts; tells its base URL by a message, and its requests when asked.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SimulatorOptions } from '../../../src/simulator/options.ts';
import { startSimulator } from '../../../src/simulator/simulator.ts';
import { endlessLog } from './endless-log.ts';
import { readLog } from './memory-log.ts';

/** What one organization's log answers with. */
export interface ServedLog {
  /** The index of the first entry at or after this time. */
  indexAt(timeMs: number): number;
  /** The elements `[from, to)`, joined by commas; `newestFirst`: in the other order. */
  elements(from: number, to: number, newestFirst?: boolean): Buffer;
}

export interface PageServerOptions {
  readonly simulator: SimulatorOptions;
  readonly latencyMs: number;
  /** Entries of every organization, made of a thousand of the simulator's: for what runs for half an hour. */
  readonly endlessEntries?: number;
}

const options = JSON.parse(process.argv[2] ?? '') as PageServerOptions;
const simulator = await startSimulator({ budget: null, ...options.simulator });
const origin = simulator.baseUrl.slice(0, simulator.baseUrl.indexOf('/', 8));
const historyMs = options.simulator.historyMs ?? 0;
const logs = new Map<string, ServedLog>();
let entries = 0;
for (const organization of simulator.summary().organizations) {
  const { log, count } = await readLog(`${simulator.baseUrl}/organizations/${organization.id}/logs/audit`);
  const served = options.endlessEntries ?? count;
  logs.set(organization.id, served === count ? log : endlessLog(log, organization.id, served, historyMs));
  entries += served;
}

/** `/set-N` before the API's path: the same logs, as those of other organizations, whose ids begin with N. */
const named = (id: string, set: string): string => (set === '' ? id : `${set.padStart(4, '0')}${id.slice(4)}`);
const bySet = new Map<string, ServedLog>();
const logOf = (id: string, set: string): ServedLog | undefined => {
  const key = `${set} ${id}`;
  if (!bySet.has(key)) for (const [own, log] of logs) bySet.set(`${set} ${named(own, set)}`, log);
  return bySet.get(key);
};

const requests = { audit: 0, other: 0 };

/** Which elements a page has. The cursor is where the next one begins. */
const nextPart = (log: ServedLog, query: URLSearchParams) => {
  const since = log.indexAt(Date.parse(query.get('since') ?? ''));
  const before = Math.max(since, log.indexAt(Date.parse(query.get('before') ?? '')));
  const limit = Number(query.get('limit') ?? '100');
  const given = query.get('cursor');
  if (query.get('direction') === 'asc') {
    const from = given === null ? since : Number(given);
    const to = Math.max(from, Math.min(before, from + limit));
    return { from, to, cursor: to < before ? to : undefined, newestFirst: false };
  }
  const to = given === null ? before : Number(given);
  const from = Math.min(to, Math.max(since, to - limit));
  return { from, to, cursor: from > since ? from : undefined, newestFirst: true };
};

const answerAudit = async (log: ServedLog, query: URLSearchParams, response: ServerResponse): Promise<void> => {
  const { from, to, cursor, newestFirst } = nextPart(log, query);
  const head = '{"errors":[],"result":[';
  const tail = `],"result_info":{"count":"${to - from}"${cursor === undefined ? '' : `,"cursor":"${cursor}"`}},"success":true}`;
  const elements = log.elements(from, to, newestFirst);
  if (options.latencyMs > 0) await sleep(options.latencyMs);
  const length = head.length + elements.length + tail.length;
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': length });
  response.write(head);
  response.write(elements);
  response.end(tail);
};

/** The listing and the profiles are the simulator's own answers. */
const passOn = async (request: IncomingMessage, path: string, set: string, response: ServerResponse): Promise<void> => {
  const own = set === '' ? path : [...logs.keys()].reduce((text, id) => text.replaceAll(named(id, set), id), path);
  const answer = await fetch(`${origin}${own}`, { headers: { authorization: String(request.headers.authorization) } });
  const text = await answer.text();
  const body = set === '' ? text : [...logs.keys()].reduce((all, id) => all.replaceAll(id, named(id, set)), text);
  response.writeHead(answer.status, { 'content-type': 'application/json' }).end(body);
};

const audit = /\/organizations\/([^/]+)\/logs\/audit$/;
const server = createServer((request, response) => {
  const url = new URL(request.url ?? '', 'http://localhost');
  const [, set = '', path = ''] = /^(?:\/set-(\d+))?(\/.*)$/.exec(url.pathname) ?? [];
  const log = logOf(audit.exec(path)?.[1] ?? '', set);
  requests[log === undefined ? 'other' : 'audit'] += 1;
  const answered =
    log === undefined
      ? passOn(request, `${path}${url.search}`, set, response)
      : answerAudit(log, url.searchParams, response);
  answered.catch(() => response.destroy());
});
server.keepAliveTimeout = 600_000;
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address() as AddressInfo;
process.on('message', () => process.send?.({ ...requests }));
process.on('disconnect', () => process.exit(0));
process.send?.({ origin: `http://127.0.0.1:${port}`, entries, organizations: [...logs.keys()] });
