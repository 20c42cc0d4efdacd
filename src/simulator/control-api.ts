import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { readBody, splitTarget } from './api/api-front.ts';
import { BadRequest } from './api/reply.ts';
import type { SourceRef } from './entries/entry-text.ts';
import { faultPatchProblems } from './faults/fault-list.ts';
import type { FaultPatch } from './faults/fault-plan.ts';
import type { GenerateOptions, Simulator, SimulatorSummary } from './interface.ts';
import type { TrueEntry } from './world/audit-log.ts';

/** Needs no credential. */
export const controlPath = '/__simulator';

/**
 * Looks into the simulator and changes it while it runs. JSON in, JSON out; bad input answers 400 `{"error": what is wrong}`.
 *
 *   GET  /truth              NDJSON, one line for each entry visible by now (`?all=1`: the invisible late ones, too):
 *                            {"source_kind", "source_id", "id" (null: none usable), "sha256" (of the element's exact text), "action_time"
 *                            (as written; null: none readable), "log_time" (what the log goes by), "changes" (sha256 of later texts)}
 *   GET  /summary            counts, in all, for each organization and each account; how often each fault has happened
 *   GET  /requests           {"total", "requests": the latest 10,000, oldest first}
 *   GET  /faults             the settings of all faults
 *   POST /faults             a patch: {"server_error": 0.5, "cut_body": {"probability": 1, "count": 1, "organizationId": "…"},
 *                            "slow_body": null, "defectRate": 0.1, "defects": ["no_id"], "slowBodyMs": 300, "preset": "none"};
 *                            answers with the settings as they then are
 *   POST /entries            {"organization_id", "entries": [texts, each one JSON value], "visible_after_ms"?, "action_time"?};
 *                            `action_time` is for entries whose own cannot be read (else: now)
 *                            {"organization_id", "count", "action_time"?, "spacing_ms"?, "visible_after_ms"?, "bytes"?}: generated
 *                            entries, from `action_time` (else: now) on, visible now; `bytes`: the length of each
 *                            `account_id` instead of `organization_id`: an account's log; `account_ids` with `count`: user entries, each
 *                            under one id in all of these accounts
 *   POST /accounts/{id}      {"refused"?, "name"?, "organization_id"? (null: none), "removed"?: true}: changes an account
 *   POST /organizations/{id}/refused   {"refused": true}: its audit log answers 403 until {"refused": false}
 *   POST /clock              {"offsetMs": -5000}: the simulator's clock is this far from the host's
 */
export class ControlApi {
  readonly #simulator: Simulator;

  constructor(simulator: Simulator) {
    this.#simulator = simulator;
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { path: wholePath, query } = splitTarget(request.url);
    const path = wholePath.slice(controlPath.length);
    try {
      if (request.method === 'GET' && path === '/truth') {
        await streamTruth(response, this.#simulator.truth({ all: query.get('all') === '1' }));
        return;
      }
      const answer = request.method === 'POST' ? await this.#post(path, request) : this.#get(path);
      if (answer === undefined) sendJson(response, 404, { error: `No ${request.method} ${path} here.` });
      else sendJson(response, 200, answer);
    } catch (error) {
      if (!(error instanceof BadRequest)) throw error;
      sendJson(response, 400, { error: error.message });
    }
  }

  #get(path: string): unknown {
    if (path === '/summary') return this.#simulator.summary() satisfies SimulatorSummary;
    if (path === '/faults') return this.#simulator.faults.current();
    if (path === '/requests') return { total: this.#simulator.requestCount, requests: this.#simulator.requests() };
    return undefined;
  }

  async #post(path: string, request: IncomingMessage): Promise<unknown> {
    const body = parseObject(await readBody(request, 100 * 1_048_576));
    if (path === '/faults') return this.#patchFaults(body);
    if (path === '/entries') return this.#appendEntries(body);
    if (path === '/clock') return this.#setClock(body);
    const accountId = /^\/accounts\/([^/]+)$/.exec(path)?.[1];
    if (accountId !== undefined) return this.#changeAccount(accountId, body);
    const organizationId = /^\/organizations\/([^/]+)\/refused$/.exec(path)?.[1];
    return organizationId === undefined ? undefined : this.#setRefused(organizationId, body);
  }

  #patchFaults(body: Record<string, unknown>): unknown {
    const problems = faultPatchProblems(body);
    if (problems.length > 0) throw new BadRequest(problems.join('; '));
    return this.#simulator.faults.set(body as FaultPatch);
  }

  #appendEntries(body: Record<string, unknown>): unknown {
    const { entries, count } = body;
    const visibleAfterMs = amountIn(body, 'visible_after_ms');
    const options = { visibleAfterMs, actionTimeMs: timeIn(body, 'action_time') };
    if (entries === undefined && count !== undefined) return this.#generateEntries(body, options);
    const source = sourceIn(body);
    if (!Array.isArray(entries) || !entries.every((text) => typeof text === 'string')) {
      throw new BadRequest('entries must be a list of strings, each the JSON text of one entry');
    }
    return orBadRequest(() => {
      this.#simulator.append(source, entries as string[], options);
      return { appended: entries.length };
    });
  }

  #generateEntries(body: Record<string, unknown>, given: GenerateOptions): unknown {
    const count = wholeIn(body, 'count') ?? 0;
    const options = { ...given, spacingMs: wholeIn(body, 'spacing_ms'), bytes: wholeIn(body, 'bytes') };
    const accountIds = body['account_ids'];
    return orBadRequest(() => {
      if (isTexts(accountIds)) this.#simulator.generateUserEntries(accountIds, count, options);
      else this.#simulator.generate(sourceIn(body), count, options);
      return { appended: count };
    });
  }

  #setRefused(organizationId: string, { refused }: Record<string, unknown>): unknown {
    if (typeof refused !== 'boolean') throw new BadRequest('refused must be true or false');
    return orBadRequest(() => {
      this.#simulator.setRefused(organizationId, refused);
      return { organization_id: organizationId, refused };
    });
  }

  #changeAccount(accountId: string, body: Record<string, unknown>): unknown {
    const { refused, name, organization_id: organizationId, removed } = body;
    if (refused !== undefined && typeof refused !== 'boolean') throw new BadRequest('refused must be true or false');
    if (name !== undefined && typeof name !== 'string') throw new BadRequest('name must be a string');
    if (organizationId !== undefined && organizationId !== null && typeof organizationId !== 'string') {
      throw new BadRequest('organization_id must be a string or null');
    }
    return orBadRequest(() => {
      this.#simulator.changeAccount(accountId, { name, organizationId });
      if (refused !== undefined) this.#simulator.setRefused({ kind: 'account', id: accountId }, refused);
      if (removed === true) this.#simulator.removeAccount(accountId);
      return { account_id: accountId };
    });
  }

  #setClock({ offsetMs }: Record<string, unknown>): unknown {
    if (typeof offsetMs !== 'number') throw new BadRequest('offsetMs must be a number');
    this.#simulator.setClockOffset(offsetMs);
    return { offsetMs };
  }
}

const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((text) => typeof text === 'string');

function sourceIn({ organization_id: organizationId, account_id: accountId }: Record<string, unknown>): SourceRef {
  if (typeof accountId === 'string') return { kind: 'account', id: accountId };
  if (typeof organizationId !== 'string') throw new BadRequest('organization_id or account_id must be a string');
  return { kind: 'organization', id: organizationId };
}

function amountIn(body: Record<string, unknown>, name: string): number | undefined {
  const value = body[name];
  if (value === undefined || (typeof value === 'number' && value >= 0)) return value;
  throw new BadRequest(`${name} must be 0 or more`);
}

function wholeIn(body: Record<string, unknown>, name: string): number | undefined {
  const value = amountIn(body, name);
  if (value === undefined || Number.isInteger(value)) return value;
  throw new BadRequest(`${name} must be an integer`);
}

function timeIn(body: Record<string, unknown>, name: string): number | undefined {
  const value = body[name];
  if (value === undefined) return undefined;
  const timeMs = Date.parse(String(value));
  if (Number.isNaN(timeMs)) throw new BadRequest(`${name} must be a timestamp`);
  return timeMs;
}

function orBadRequest<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof RangeError) throw new BadRequest(error.message);
    throw error;
  }
}

function parseObject(text: string | undefined): Record<string, unknown> {
  if (text === undefined) throw new BadRequest('The body is too large.');
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body as Record<string, unknown>;
  } catch {
    // Said below, like any other wrong body.
  }
  throw new BadRequest('The body must be a JSON object.');
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(`${JSON.stringify(body)}\n`);
}

const linesPerWrite = 500;

async function streamTruth(response: ServerResponse, entries: Iterable<TrueEntry>): Promise<void> {
  response.writeHead(200, { 'Content-Type': 'application/x-ndjson' });
  await pipeline(Readable.from(truthChunks(entries)), response);
}

function* truthChunks(entries: Iterable<TrueEntry>): Generator<string> {
  let lines: string[] = [];
  for (const { sourceKind, sourceId, id, sha256, actionTime, logTimeMs, changes } of entries) {
    const times = { action_time: actionTime, log_time: new Date(logTimeMs).toISOString() };
    const source = { source_kind: sourceKind, source_id: sourceId };
    lines.push(`${JSON.stringify({ ...source, id, sha256, ...times, changes })}\n`);
    if (lines.length < linesPerWrite) continue;
    yield lines.join('');
    lines = [];
  }
  yield lines.join('');
}
