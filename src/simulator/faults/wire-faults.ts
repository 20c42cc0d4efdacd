import type { ServerResponse } from 'node:http';
import { errorReply, type Reply } from '../api/reply.ts';
import type { FaultName } from './fault-catalogue.ts';
import type { FaultPlan, Occasion } from './fault-plan.ts';

/** What happens instead of an answer. */
export type Interruption =
  | { readonly name: FaultName; readonly kind: 'silence' | 'reset' }
  | { readonly name: FaultName; readonly kind: 'delay'; readonly delayMs: number }
  | { readonly name: FaultName; readonly kind: 'reply'; readonly reply: Reply };

const statuses = [500, 502, 503, 504] as const;

function html(status: number): string {
  return (
    `<!DOCTYPE html>\n<html><head><title>api.example.com | ${status}</title></head>` +
    `<body><h1>Error ${status}</h1><p>cloudflare</p></body></html>\n`
  );
}

function serverError(bits: number): Reply {
  const status = statuses[bits & 3] as number;
  const form = (bits >>> 2) % 3;
  if (form === 0) return errorReply(status, 10000 + status, 'Internal error');
  return form === 1 ? { status, contentType: 'text/plain', body: `error code: ${status}` } : { status, body: '' };
}

/** Decides, before the request is worked on, whether something else than its answer comes. The first that fires wins. */
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
  if (error !== undefined) return { name: 'server_error', kind: 'reply', reply: serverError(error) };
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

function htmlReply(status: number): Reply {
  return { status, contentType: 'text/html; charset=UTF-8', body: html(status) };
}

/** 429 as Cloudflare sends it. */
export function tooManyRequests(headers: Record<string, string>): Reply {
  return errorReply(429, 971, 'Please wait and consider throttling your request speed', headers);
}

/** Sends the head and half of the body, and destroys the connection as soon as that is on its way. */
export function sendCutOff(response: ServerResponse, body: Buffer): void {
  response.write(body.subarray(0, body.length >>> 1), () => response.destroy());
}

/** Sends the head and half of the body, and the rest after a pause. */
export function sendSlowly(response: ServerResponse, body: Buffer, pauseMs: number): void {
  const half = body.length >>> 1;
  response.write(body.subarray(0, half));
  const timer = setTimeout(() => response.end(body.subarray(half)), pauseMs);
  response.once('close', () => clearTimeout(timer));
}

/** Sends nothing; destroys the connection after `hangMs` unless that is 0. */
export function staySilent(response: ServerResponse, hangMs: number): void {
  if (hangMs === 0) return;
  const timer = setTimeout(() => response.destroy(), hangMs);
  response.once('close', () => clearTimeout(timer));
}

/** Waits; false as soon as the client has gone away. */
export function pause(response: ServerResponse, delayMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(true), delayMs);
    response.once('close', () => {
      clearTimeout(timer);
      resolve(false);
    });
  });
}
