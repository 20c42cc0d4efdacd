import type { FaultName } from '../faults/fault-catalogue.ts';

/** A response before it meets the faults of the wire. */
export interface Reply {
  readonly status: number;
  /** Absent: `application/json`. */
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
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

/** Success of the organizations service. */
export function successReply(result: unknown, resultInfo?: unknown): Reply {
  const info = resultInfo === undefined ? {} : { result_info: resultInfo };
  return { status: 200, body: JSON.stringify({ success: true, errors: [], messages: [], result, ...info }) };
}

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

/** What Cloudflare says to a credential that may not. */
export function refusal(status: 401 | 403): Reply {
  return errorReply(status, 10000, 'Authentication error');
}

/** What is wrong with a request; the handler of its service turns it into a 400. */
export class BadRequest extends Error {
  override readonly name = 'BadRequest';
}
