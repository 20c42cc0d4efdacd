import type { ApiError } from '../../../errors.ts';
import type { CredentialSource } from '../credential.ts';
import type { Send } from './request.ts';

/** Cloudflare's codes of a 400 for a token of a wrong form or without a meaning. */
const badTokenCodes = [6_003, 6_111];

/**
 * After an answer that may be due to an old credential, looks for a newer one and sends the request once more with it. Tokens are
 * rotated while the daemon runs.
 */
export function withFreshCredential(send: Send, source: CredentialSource): Send {
  return async (request) => {
    const used = source.current();
    const outcome = await send(request);
    if (outcome.ok || !mayBeOld(outcome.error)) return outcome;
    // Another request may have found it meanwhile.
    const isRenewed = source.current() !== used || source.refresh();
    return isRenewed ? await send(request) : outcome;
  };
}

/** Cloudflare answers a token that was revoked with 401, with 403 or with 400, from service to service. */
const mayBeOld = ({ failure, apiCodes }: ApiError): boolean =>
  failure === 'unauthorized' ||
  failure === 'refused' ||
  (failure === 'bad_request' && apiCodes.some((code) => badTokenCodes.includes(code)));
