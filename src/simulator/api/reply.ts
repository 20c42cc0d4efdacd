import type { FaultName } from '../faults/fault-catalogue.ts';

/** A response before it meets the faults of the wire. */
export interface Reply {
  readonly status: number;
  /** Absent: `application/json`. */
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Empty for a status without a body. */
  readonly body: string;
  /** The fault that stands in place of the answer. */
  readonly fault?: FaultName;
  /** Called once the whole response has been handed to the network. */
  readonly delivered?: () => void;
}

/** No answer at all, because of this fault. */
export interface Silence {
  readonly silentBy: FaultName;
}

/** Success of every service but the audit log's. */
export function successReply(result: unknown, resultInfo?: unknown, messages: readonly unknown[] = []): Reply {
  const info = resultInfo === undefined ? {} : { result_info: resultInfo };
  return { status: 200, body: JSON.stringify({ success: true, errors: [], messages, result, ...info }) };
}

/** Success that has nothing to say: 204 and no body. */
export const emptyReply: Reply = { status: 204, body: '' };

/** Failure with a code: what the organizations service and the gateway send. */
export function errorReply(status: number, code: number, message: string, headers: Record<string, string> = {}): Reply {
  return {
    status,
    headers,
    body: JSON.stringify({ success: false, errors: [{ code, message }], messages: [], result: null }),
  };
}

/** Failure of the audit service: a message without a code, and no `result`. */
export function auditErrorReply(status: number, message: string): Reply {
  return { status, body: JSON.stringify({ success: false, errors: [{ message }], messages: [] }) };
}

/** The failure that a fault gives an audit log: of the service up to 499, of the gateway from 500. */
export function auditFaultReply(fault: FaultName, status: number, message: string): Reply {
  return { ...(status < 500 ? auditErrorReply(status, message) : gatewayError(status)), fault };
}

/** The failure that a fault gives the organizations service. */
export function faultReply(fault: FaultName, status: number): Reply {
  return { ...gatewayError(status), fault };
}

function gatewayError(status: number): Reply {
  return errorReply(status, 10000 + status, status < 500 ? 'The request was refused' : 'Internal error');
}

/** What Cloudflare says to a credential that may not, and to a request without one. */
export function refusal(status: 401 | 403): Reply {
  return errorReply(status, 10000, 'Authentication error');
}

/** What the gateway says to an object identifier that no object could have; `path` as sent, without the query. */
export function unroutable(status: 400 | 404, path: string): Reply {
  const message = `Could not route to ${path}, perhaps your object identifier is invalid?`;
  const errors = [
    { code: 7003, message },
    { code: 7000, message: 'No route for that URI' },
  ];
  return { status, body: JSON.stringify({ success: false, errors, messages: [], result: null }) };
}

/** What the gateway says to an `Authorization` header of another form than it knows. */
export function invalidHeaders(): Reply {
  const error_chain = [{ code: 6111, message: 'Invalid format for Authorization header' }];
  const errors = [{ code: 6003, message: 'Invalid request headers', error_chain }];
  return { status: 400, body: JSON.stringify({ success: false, errors, messages: [], result: null }) };
}

/** What is wrong with a request; the handler of its service turns it into a 400. */
export class BadRequest extends Error {
  override readonly name = 'BadRequest';
}
