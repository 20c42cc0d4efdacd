import { type ApiError, exitCodes } from '../errors.ts';

/** What to do about a failure of Cloudflare's API, and what it ends with. */
export const apiAdvice = (error: ApiError): { hint: string; exitCode: number } => {
  switch (error.failure) {
    case 'unauthorized':
      return { hint: 'the credential is wrong or expired: check CLOUDFLARE_API_TOKEN', exitCode: exitCodes.usage };
    case 'bad_request':
      return {
        hint: 'Cloudflare did not accept the request or the credential: check the token and ORGTRAIL_FILTERS',
        exitCode: exitCodes.usage,
      };
    case 'refused':
      return {
        hint:
          'check that the token is right and has not expired; it must be a token of a user (not of an account) with "User Details Read"; ' +
          'or use CLOUDFLARE_EMAIL + CLOUDFLARE_API_KEY (the documented workaround), or name them in ORGTRAIL_ORGANIZATIONS',
        exitCode: exitCodes.usage,
      };
    default:
      if (/CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)/.test(error.message)) {
        return {
          hint:
            'Node does not trust the certificate of this host: check CLOUDFLARE_BASE_URL and the clock of this host; behind a ' +
            'proxy that intercepts TLS, name the file of its certificate authority in NODE_EXTRA_CA_CERTS',
          exitCode: exitCodes.unreachable,
        };
      }
      return {
        hint: 'check CLOUDFLARE_BASE_URL, the network, and www.cloudflarestatus.com',
        exitCode: exitCodes.unreachable,
      };
  }
};
