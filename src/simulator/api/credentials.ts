import { hash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { errorReply, invalidHeaders, type Reply, refusal } from './reply.ts';

/** A credential that the simulator takes: an API token, or a user's email with the Global API key. */
export type AcceptedCredential = { readonly token: string } | { readonly email: string; readonly key: string };

/** Who sends a request, without the secret. */
export interface Caller {
  /** Twelve hexadecimal digits that stand for the credential; `none` without one. */
  readonly fingerprint: string;
  /** The member `actor` of the entries that this caller leaves. */
  readonly actor: Readonly<Record<string, string>>;
}

/** The caller, and what it is answered with if its credential is not taken. */
export type Admission = { readonly caller: Caller; readonly refusal?: Reply };

function fingerprintOf(text: string): string {
  return hash('sha256', text).slice(0, 12);
}

function actorOf(id: string, context: string, email: string, token: Record<string, string> = {}): Caller['actor'] {
  return { id, context, email, ip_address: '127.0.0.1', ...token, type: 'user' };
}

/**
 * Looks at the credential of a request. `accepted` undefined: any will do, as long as there is one. None at all is
 * refused with 401, a wrong one with 403 (code 9109 for a token), another form of the header with 400 code 6003.
 */
export function admit(headers: IncomingHttpHeaders, accepted: readonly AcceptedCredential[] | undefined): Admission {
  const token = /^Bearer (\S+)$/.exec(headers.authorization ?? '')?.[1];
  if (token !== undefined) {
    const fingerprint = fingerprintOf(token);
    const names = { token_id: fingerprint, token_name: 'simulated' };
    const caller = { fingerprint, actor: actorOf(fingerprint, 'api_token', 'admin@example.com', names) };
    const isGood = accepted === undefined || accepted.some((one) => 'token' in one && one.token === token);
    return isGood ? { caller } : { caller, refusal: errorReply(403, 9109, 'Invalid access token') };
  }
  const email = headers['x-auth-email'];
  const key = headers['x-auth-key'];
  if (typeof email === 'string' && typeof key === 'string' && email !== '' && key !== '') {
    const fingerprint = fingerprintOf(`${email} ${key}`);
    const caller = { fingerprint, actor: actorOf(fingerprint, 'api_key', email) };
    const isGood =
      accepted === undefined || accepted.some((one) => 'key' in one && one.email === email && one.key === key);
    return isGood ? { caller } : { caller, refusal: refusal(403) };
  }
  const unknown: Caller = { fingerprint: 'none', actor: {} };
  return { caller: unknown, refusal: headers.authorization === undefined ? refusal(401) : invalidHeaders() };
}
