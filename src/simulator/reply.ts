/** A response before it meets the faults of the wire. */
export interface Reply {
  readonly status: number;
  /** Absent: `application/json`. */
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
  /** Called once the whole response has been handed to the network. */
  readonly delivered?: () => void;
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

/** What Cloudflare says to a credential that may not. */
export function refusal(status: 401 | 403): Reply {
  return errorReply(status, 10000, 'Authentication error');
}

/** What is wrong with a request; the handler of its service turns it into a 400. */
export class BadRequest extends Error {
  override readonly name = 'BadRequest';
}
