import type { ServerResponse } from 'node:http';
import type { FaultName } from '../faults/fault-catalogue.ts';
import type { FaultPlan, Occasion } from '../faults/fault-plan.ts';

export interface Reply {
  readonly status: number;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Empty without a body. */
  readonly body: string;
  /** In place of the answer. */
  readonly fault?: FaultName;
  /** Called when the response has been handed to the network. */
  readonly delivered?: () => void;
}

export type Silence = Readonly<{ silentBy: FaultName }>;

/** For all services but the audit log. */
export function successReply(result: unknown, resultInfo?: unknown, messages: readonly unknown[] = []): Reply {
  const info = resultInfo === undefined ? {} : { result_info: resultInfo };
  return { status: 200, body: JSON.stringify({ success: true, errors: [], messages, result, ...info }) };
}

export const emptyReply: Reply = { status: 204, body: '' };

/** Of the organizations service and the gateway. */
export const errorReply = (
  status: number,
  code: number,
  message: string,
  headers: Record<string, string> = {},
): Reply => ({
  status,
  headers,
  body: JSON.stringify({ success: false, errors: [{ code, message }], messages: [], result: null }),
});

/** Of the audit service: no code, no `result`. */
export const auditErrorReply = (status: number, message: string): Reply => ({
  status,
  body: JSON.stringify({ success: false, errors: [{ message }], messages: [] }),
});

/** Of the service up to 499, of the gateway from 500. */
export const auditFaultReply = (fault: FaultName, status: number, message: string): Reply => ({
  ...(status < 500 ? auditErrorReply(status, message) : gatewayError(status)),
  fault,
});

export const faultReply = (fault: FaultName, status: number): Reply => ({ ...gatewayError(status), fault });

const gatewayError = (status: number): Reply =>
  errorReply(status, 10000 + status, status < 500 ? 'The request was refused' : 'Internal error');

/** For a credential that may not, with a page that says what it takes, and for none. */
export const refusal = (status: 401 | 403): Reply => {
  const error = { code: 10000, message: 'Authentication error' };
  const errors = [status === 403 ? { ...error, documentation_url: 'https://developers.cloudflare.com/api/' } : error];
  return { status, body: JSON.stringify({ success: false, errors, messages: [], result: null }) };
};

/** For an identifier that no object can have; `path` without the query. */
export function unroutable(status: 400 | 404, path: string): Reply {
  const message = `Could not route to ${path}, perhaps your object identifier is invalid?`;
  const errors = [
    { code: 7003, message },
    { code: 7000, message: 'No route for that URI' },
  ];
  return { status, body: JSON.stringify({ success: false, errors, messages: [], result: null }) };
}

/** For an `Authorization` header of another form. */
export function invalidHeaders(): Reply {
  const error_chain = [{ code: 6111, message: 'Invalid format for Authorization header' }];
  const errors = [{ code: 6003, message: 'Invalid request headers', error_chain }];
  return { status: 400, body: JSON.stringify({ success: false, errors, messages: [], result: null }) };
}

/** Becomes a 400 in the handler of its service. */
export class BadRequest extends Error {
  override readonly name = 'BadRequest';
}

export type Interruption =
  | { readonly name: FaultName; readonly kind: 'silence' | 'reset' }
  | { readonly name: FaultName; readonly kind: 'delay'; readonly delayMs: number }
  | { readonly name: FaultName; readonly kind: 'reply'; readonly reply: Reply };

const statuses = [500, 502, 503, 504] as const;

const html = (status: number): string =>
  `<!DOCTYPE html>\n<html><head><title>api.example.com | ${status}</title></head>` +
  `<body><h1>Error ${status}</h1><p>cloudflare</p></body></html>\n`;

function serverError(bits: number, retryAfterSeconds: number): Reply {
  const status = statuses[bits & 3] as number;
  const form = (bits >>> 2) % 3;
  if (form === 0) return status === 503 ? gatewayError(status) : problem(status, retryAfterSeconds);
  return form === 1 ? { status, contentType: 'text/plain', body: `error code: ${status}` } : { status, body: '' };
}

/** RFC 9457, as Cloudflare answers itself who asks for JSON. */
const problem = (status: number, retryAfterSeconds: number): Reply => ({
  status,
  headers: { 'Retry-After': String(retryAfterSeconds) },
  body: JSON.stringify({
    type: `https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/error-${status}/`,
    title: `Error ${status}: the origin does not answer`,
    status,
    error_category: status === 500 ? 'cloudflare' : 'origin',
    retry_after: retryAfterSeconds,
  }),
});

/** Before the request is worked on. The first fault that fires wins. */
export function interruption(faults: FaultPlan, occasion: Occasion): Interruption | undefined {
  if (faults.fires('hung', occasion) !== undefined) return { name: 'hung', kind: 'silence' };
  const isAudit = occasion.operation === 'audit';
  const hung = isAudit ? faults.meets('hung_organization', occasion) : undefined;
  if (hung?.answerAfterSeconds === 0) return { name: 'hung_organization', kind: 'silence' };
  if (hung !== undefined) {
    return { name: 'hung_organization', kind: 'delay', delayMs: hung.answerAfterSeconds * 1000 };
  }
  if (faults.fires('connection_reset', occasion) !== undefined) return { name: 'connection_reset', kind: 'reset' };
  if (faults.fires('throttled', occasion) !== undefined) {
    const headers = { 'Retry-After': String(faults.parameters.retryAfterSeconds) };
    return { name: 'throttled', kind: 'reply', reply: tooManyRequests(headers) };
  }
  const error = faults.fires('server_error', occasion);
  if (error !== undefined)
    return { name: 'server_error', kind: 'reply', reply: serverError(error, faults.parameters.retryAfterSeconds) };
  const page = faults.fires('html_error', occasion);
  if (page !== undefined) return { name: 'html_error', kind: 'reply', reply: htmlReply(page & 1 ? 502 : 503) };
  if (faults.fires('html_ok', occasion) !== undefined) {
    return { name: 'html_ok', kind: 'reply', reply: htmlReply(200) };
  }
  const isList = isAudit || occasion.operation === 'organizations';
  if (isList && faults.fires('error_in_success', occasion) !== undefined) {
    return { name: 'error_in_success', kind: 'reply', reply: errorInSuccess(isAudit) };
  }
  return undefined;
}

function errorInSuccess(isAudit: boolean): Reply {
  const errors = [{ code: 10500, message: 'Some results could not be loaded' }];
  const info = isAudit ? { count: '0' } : { total_size: 0 };
  return { status: 200, body: JSON.stringify({ errors, result: [], result_info: info, success: true }) };
}

const htmlReply = (status: number): Reply => ({ status, contentType: 'text/html; charset=UTF-8', body: html(status) });

export const tooManyRequests = (headers: Record<string, string>): Reply =>
  errorReply(429, 971, 'Please wait and consider throttling your request speed', headers);

/** Head and half of the body, then destroys the connection. */
export function sendCutOff(response: ServerResponse, body: Buffer): void {
  response.write(body.subarray(0, body.length >>> 1), () => response.destroy());
}

/** Head and half of the body, the rest after a pause. */
export function sendSlowly(response: ServerResponse, body: Buffer, pauseMs: number): void {
  const half = body.length >>> 1;
  response.write(body.subarray(0, half));
  const timer = setTimeout(() => response.end(body.subarray(half)), pauseMs);
  response.once('close', () => clearTimeout(timer));
}

/** Destroys the connection after `hangMs` unless 0. */
export function staySilent(response: ServerResponse, hangMs: number): void {
  if (hangMs === 0) return;
  const timer = setTimeout(() => response.destroy(), hangMs);
  response.once('close', () => clearTimeout(timer));
}

/** False as soon as the client is gone. */
export const pause = (response: ServerResponse, delayMs: number): Promise<boolean> =>
  new Promise((resolve) => {
    const timer = setTimeout(() => resolve(true), delayMs);
    response.once('close', () => {
      clearTimeout(timer);
      resolve(false);
    });
  });

/** JSON in URL-safe base64 with padding, as Cloudflare's tokens look. Not secret. */
export const encodeToken = (content: unknown): string =>
  Buffer.from(JSON.stringify(content)).toString('base64').replaceAll('+', '-').replaceAll('/', '_');

/** Undefined unless made by `encodeToken`. */
export function decodeToken(token: string): Record<string, unknown> | undefined {
  if (!/^[A-Za-z0-9_-]+={0,2}$/.test(token)) return undefined;
  try {
    const content: unknown = JSON.parse(Buffer.from(token, 'base64url').toString());
    return typeof content === 'object' && content !== null ? (content as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** Where a listing goes on. Throws BadRequest for a token that is invalid or of other filters. */
export function placeIn(query: URLSearchParams, filters: string): number {
  const token = query.get('page_token') || undefined;
  if (token === undefined) return 0;
  const content = decodeToken(token);
  if (typeof content?.['n'] !== 'number') throw new BadRequest('invalid page_token');
  if (content['f'] !== filters) throw new BadRequest('page_token does not belong to these filters');
  return content['n'];
}

/** Filters of listings by lower-case names. */
export const nameFilters: Readonly<Record<string, (name: string, part: string) => boolean>> = {
  name: (name, whole) => name === whole,
  'name.startsWith': (name, part) => name.startsWith(part),
  'name.endsWith': (name, part) => name.endsWith(part),
  'name.contains': (name, part) => name.includes(part),
};

/** Answers 400 with what is wrong if the work throws BadRequest. */
export function orBadRequest<T>(work: () => T, reply: (message: string) => Reply): T | Reply {
  try {
    return work();
  } catch (error) {
    if (error instanceof BadRequest) return reply(error.message);
    throw error;
  }
}
