import Cloudflare from 'cloudflare';
import type { Simulator, SimulatorSummary } from '../../../../src/simulator/interface.ts';
import type { SimulatorOptions } from '../../../../src/simulator/options.ts';
import { type AuditPage, elementTexts, get, simulate } from '../simulated-cloudflare.ts';

export const window = { since: '2026-01-01', before: '2027-01-01' };

/** A small simulator with three accounts in each of its organizations, and two more. */
export function simulateAccounts(options: SimulatorOptions = {}): Promise<Simulator> {
  return simulate({ organizations: 3, accounts: 3, standaloneAccounts: 2, ...options });
}

/** The official SDK with a token. */
export function sdk(simulator: Simulator, apiToken = 'test'): Cloudflare {
  return new Cloudflare({ baseURL: simulator.baseUrl, apiToken, maxRetries: 0 });
}

/** The official SDK with e-mail address and key. */
export function sdkWithKey(simulator: Simulator, apiEmail = 'a@example.com', apiKey = 'secret'): Cloudflare {
  return new Cloudflare({ baseURL: simulator.baseUrl, apiToken: null, apiEmail, apiKey, maxRetries: 0 });
}

/** The n-th account. */
export function accountAt(simulator: Simulator, n = 0): SimulatorSummary['accounts'][number] {
  const account = simulator.summary().accounts[n];
  if (account === undefined) throw new Error(`There is no account ${n}.`);
  return account;
}

/** The path of an audit request for all of 2026, ascending, a thousand a page. */
export function accountPath(accountId: string, more = ''): string {
  return `/accounts/${accountId}/logs/audit?since=2026-01-01&before=2027-01-01&direction=asc&limit=1000${more}`;
}

/** The first page of an account's log. */
export async function accountPage(simulator: Simulator, accountId: string, more = ''): Promise<AuditPage> {
  const { status, text } = await get(simulator, accountPath(accountId, more));
  const { result = [], result_info: info = {} } = JSON.parse(text);
  return { status, result, texts: elementTexts(text), count: info.count, cursor: info.cursor };
}

/** Status and code of the first error of an answer. */
export async function refusalOf(
  simulator: Simulator,
  path: string,
  headers?: Record<string, string>,
): Promise<{ status: number; code: number | undefined }> {
  const { status, text } = await get(simulator, path, headers);
  return { status, code: JSON.parse(text).errors[0]?.code };
}
