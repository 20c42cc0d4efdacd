import { ApiError, type ApiFailure } from '../../../errors.ts';
import type { Redact } from '../credential.ts';

/** What a non-2xx answer is made into an error from. */
export interface FailedResponse {
  readonly path: string;
  readonly status: number;
  /** The body, if it came complete and of a sensible size. */
  readonly text: string | undefined;
  readonly location: string | undefined;
  readonly retryAfterMs: number | undefined;
}

/** Enough for Cloudflare's own sentences, too little for a page of HTML in a log line. */
const MAX_QUOTED_CHARACTERS = 200;
const MAX_QUOTED_ERRORS = 3;

/** The error of an answer other than 200, with Cloudflare's codes and its own words, from which the credential is removed. */
export function responseFailure(response: FailedResponse, redact: Redact): ApiError {
  const errors = readErrors(response.text);
  const said = errors.map(({ code, message }) => [code, message].filter((part) => part !== undefined).join(' '));
  const failure = failureOf(response.status, errors);
  const details =
    failure === 'redirected' ? redirection(redact(response.location ?? '')) : quotable(said.join('; '), redact);
  return new ApiError(failure, `GET ${response.path} was answered with ${response.status}${details}`, {
    status: response.status,
    apiCodes: errors.flatMap(({ code }) => code ?? []),
    ...(response.retryAfterMs === undefined ? {} : { retryAfterMs: response.retryAfterMs }),
  });
}

/** Cloudflare's router says with a 400 that there is nothing under this path: the id in it is none. */
const NO_SUCH_ID = [7_000, 7_003];

/** Decided by the status, but for the router's own codes: those of services for one and the same fault differ. */
function failureOf(status: number, errors: readonly SaidError[]): ApiFailure {
  if (status === 400 && errors.some(({ code }) => code !== undefined && NO_SUCH_ID.includes(code))) return 'not_found';
  if (status === 400 || status === 422) return 'bad_request';
  if (status === 401) return 'unauthorized';
  if (status === 403) return 'refused';
  if (status === 404 || status === 410) return 'not_found';
  if (status === 429) return 'throttled';
  if (status === 408 || status === 409 || status >= 500) return 'server';
  if (status >= 300 && status < 400) return 'redirected';
  return 'unexpected';
}

interface SaidError {
  readonly code: number | undefined;
  readonly message: string | undefined;
}

/**
 * `errors` of the envelope, as far as it is one, each with its `error_chain`, in which the useful sentence stands: entries have `code` and
 * `message`, either, or neither.
 */
function readErrors(text: string | undefined): SaidError[] {
  const body = parseJson(text ?? '');
  const errors = isObject(body) && Array.isArray(body['errors']) ? body['errors'] : [];
  return errors
    .filter(isObject)
    .flatMap((error) => [error, ...(Array.isArray(error['error_chain']) ? error['error_chain'].filter(isObject) : [])])
    .slice(0, MAX_QUOTED_ERRORS)
    .map(({ code, message }) => ({
      code: typeof code === 'number' && Number.isSafeInteger(code) ? code : undefined,
      message: typeof message === 'string' ? message : undefined,
    }));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function quotable(said: string, redact: Redact): string {
  // Redacted before it is cut: half a secret would no longer be recognised.
  const text = redact(said)
    .replaceAll(/\p{C}+/gu, ' ')
    .trim();
  return text === '' ? '' : `: ${text.slice(0, MAX_QUOTED_CHARACTERS)}`;
}

function redirection(location: string): string {
  const target = URL.canParse(location) ? ` to ${new URL(location).origin}` : '';
  return `${target}; redirects are not followed, the credential is for the configured host only`;
}
