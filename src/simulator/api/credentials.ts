import { hash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** A credential that the simulator takes: an API token, or a user's email with the Global API key. */
export type AcceptedCredential = { readonly token: string } | { readonly email: string; readonly key: string };

/** Who sends a request, without the secret. */
export interface Caller {
  /** Twelve hexadecimal digits that stand for the credential; `none` without one. */
  readonly fingerprint: string;
  /** The member `actor` of the entries that this caller leaves. */
  readonly actor: Readonly<Record<string, string>>;
}

export type Admission = { readonly caller: Caller; readonly refusal?: 401 | 403 };

function fingerprintOf(text: string): string {
  return hash('sha256', text).slice(0, 12);
}

function actorOf(id: string, context: string, email: string, token: Record<string, string> = {}): Caller['actor'] {
  return { id, context, email, ip_address: '127.0.0.1', ...token, type: 'user' };
}

/**
 * Looks at the credential of a request. `accepted` undefined: any will do, as long as there is one. None at all is
 * refused with 401, a wrong one with 403.
 */
export function admit(headers: IncomingHttpHeaders, accepted: readonly AcceptedCredential[] | undefined): Admission {
  const token = /^Bearer (\S+)$/.exec(headers.authorization ?? '')?.[1];
  if (token !== undefined) {
    const fingerprint = fingerprintOf(token);
    const names = { token_id: fingerprint, token_name: 'simulated' };
    const caller = { fingerprint, actor: actorOf(fingerprint, 'api_token', 'admin@example.com', names) };
    const isGood = accepted === undefined || accepted.some((one) => 'token' in one && one.token === token);
    return isGood ? { caller } : { caller, refusal: 403 };
  }
  const email = headers['x-auth-email'];
  const key = headers['x-auth-key'];
  if (typeof email === 'string' && typeof key === 'string' && email !== '' && key !== '') {
    const fingerprint = fingerprintOf(`${email} ${key}`);
    const caller = { fingerprint, actor: actorOf(fingerprint, 'api_key', email) };
    const isGood =
      accepted === undefined || accepted.some((one) => 'key' in one && one.email === email && one.key === key);
    return isGood ? { caller } : { caller, refusal: 403 };
  }
  return { caller: { fingerprint: 'none', actor: {} }, refusal: 401 };
}
