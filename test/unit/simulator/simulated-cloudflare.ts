import { hash } from 'node:crypto';
import { onTestFinished } from 'vitest';
import type { Simulator } from '../../../src/simulator/interface.ts';
import type { SimulatorOptions } from '../../../src/simulator/options.ts';
import { startSimulator } from '../../../src/simulator/simulator.ts';

/** The end of the simulated history in these tests: nothing depends on the day they run. */
export const startMs = Date.UTC(2026, 9, 1);

/** Starts a small simulator without a budget that the end of the test closes. Its clock stands still at `startMs`. */
export async function simulate(options: SimulatorOptions = {}): Promise<Simulator> {
  // biome-ignore format: a table
  const simulator = await startSimulator({
    organizations: 1, entries: 0, budget: null, startMs, clock: () => startMs, ...options,
  });
  onTestFinished(() => simulator.close());
  return simulator;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** A request that is not answered: it is sent, arrives, and its client gives up. Throws when there is an answer after all. */
export async function getInVain(simulator: Simulator, path: string): Promise<void> {
  const controller = new AbortController();
  const stop = simulator.onRequest(({ status }) => {
    if (status === 0) controller.abort();
  });
  const answer = await fetch(simulator.baseUrl + path, {
    headers: { authorization: 'Bearer test' },
    signal: controller.signal,
  }).catch((error: Error) => error);
  stop();
  if (!(answer instanceof Error && controller.signal.aborted)) throw new Error(`${path} was answered.`);
}

/** One request, with a bearer token unless other headers are given. The path begins behind the base URL. */
export async function get(simulator: Simulator, path: string, headers?: Record<string, string>): Promise<Answer> {
  const response = await fetch(simulator.baseUrl + path, {
    headers: headers ?? { authorization: 'Bearer test' },
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

export interface Listing {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: what a client reads has no type
  readonly body: any;
  readonly ids: string[];
  readonly token: string | undefined;
  readonly total: number | undefined;
}

/** A page of organizations or accounts, or one of them. */
export async function listingOf(
  simulator: Simulator,
  path: string,
  headers?: Record<string, string>,
): Promise<Listing> {
  const { status, text } = await get(simulator, path, headers);
  const body = JSON.parse(text);
  const listed: { id: string }[] = Array.isArray(body.result) ? body.result : [];
  const { next_page_token: token, total_size: total } = body.result_info ?? {};
  return { status, body, ids: listed.map(({ id }) => id), token, total };
}

export interface AuditPage {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: what a client reads has no type
  readonly result: any[];
  /** The exact texts of the elements. */
  readonly texts: string[];
  readonly count: unknown;
  readonly cursor: string | undefined;
}

/** The ids of the elements of pages, in order. */
export function idsOf(pages: readonly AuditPage[]): string[] {
  return pages.flatMap(({ result }) => result.map(({ id }) => id));
}

/** The id of the n-th organization. */
export function organizationAt(simulator: Simulator, n = 0): string {
  const organization = simulator.summary().organizations[n];
  if (organization === undefined) throw new Error(`There is no organization ${n}.`);
  return organization.id;
}

/** The path of an audit request for all of 2026, ascending, with these parameters added or put instead. */
export function auditPath(
  organizationId: string,
  parameters: Record<string, string | number | undefined> = {},
): string {
  const query = new URLSearchParams({ since: '2026-01-01', before: '2027-01-01', direction: 'asc', limit: '100' });
  for (const [name, value] of Object.entries(parameters)) {
    if (value === undefined) query.delete(name);
    else query.set(name, String(value));
  }
  return `/organizations/${organizationId}/logs/audit?${query}`;
}

/** One page of the first organization's log; only its status must be good. */
export async function auditPage(
  simulator: Simulator,
  parameters: Record<string, string | number | undefined> = {},
  organizationId = organizationAt(simulator),
): Promise<AuditPage> {
  const { status, text } = await get(simulator, auditPath(organizationId, parameters));
  const body = JSON.parse(text);
  const { count, cursor } = body.result_info ?? {};
  return { status, result: body.result ?? [], texts: elementTexts(text), count, cursor };
}

/** All pages of a walk, up to the one without a cursor. */
export async function auditWalk(
  simulator: Simulator,
  parameters: Record<string, string | number | undefined> = {},
  organizationId = organizationAt(simulator),
): Promise<AuditPage[]> {
  const pages: AuditPage[] = [];
  for (let cursor: string | undefined; pages.length < 1000; ) {
    const page = await auditPage(simulator, { ...parameters, cursor }, organizationId);
    pages.push(page);
    cursor = page.cursor;
    if (cursor === undefined) return pages;
  }
  throw new Error('The walk has no end.');
}

export const sha256 = (text: string): string => hash('sha256', text);

/** Cuts the elements out of the array `result`, byte for byte. */
export function elementTexts(body: string): string[] {
  const marker = '"result":[';
  const texts: string[] = [];
  const at = body.indexOf(marker);
  if (at === -1) return texts;
  let depth = 0;
  let isString = false;
  let start = at + marker.length;
  for (let i = start; i < body.length; i++) {
    const char = body[i];
    if (isString) {
      if (char === '\\') i++;
      else if (char === '"') isString = false;
    } else if (char === '"') isString = true;
    else if (char === '{' || char === '[') depth++;
    else if (depth > 0 && (char === '}' || char === ']')) depth--;
    else if (depth === 0 && (char === ',' || char === ']')) {
      if (i > start) texts.push(body.slice(start, i));
      start = i + 1;
      if (char === ']') break;
    }
  }
  return texts;
}
