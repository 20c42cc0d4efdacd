import type { ApiError, ApiFailure } from '../../../errors.ts';
import { LeaseLostError } from '../../../postgres/leases/keep-lease.ts';
import type { LaneState } from '../../planning/lane.ts';
import type { Walk } from '../../planning/walk.ts';

/** The lease has gone to another replica, as a commit found out: it wrote nothing. */
export class FencedError extends LeaseLostError {
  override readonly name = 'FencedError';
}

/** PostgreSQL refuses the content of a page in every form: treated like a page that could not be read. */
export class PageRefusedError extends Error {
  override readonly name = 'PageRefusedError';
  readonly error: ApiError;

  constructor(error: ApiError) {
    super(error.message, { cause: error });
    this.error = error;
  }
}

/** The lane must rest, and goes on from this state. `restMs` undefined: as long as its failures say. */
export class RestError extends Error {
  override readonly name = 'RestError';
  readonly error: ApiError;
  readonly state: LaneState;
  readonly restMs: number | undefined;

  constructor(error: ApiError, state: LaneState, restMs?: number) {
    super(error.message, { cause: error });
    this.error = error;
    this.state = state;
    this.restMs = restMs;
  }
}

/** Failures that an immediate retry does not fix. */
export const lastingFailures: readonly ApiFailure[] = ['refused', 'unauthorized', 'not_found'];

/**
 * What a failure is evidence about.
 * - all: the credential, the organization or the budget; nothing about the walk
 * - walk: the API has answered, and refuses this very request
 * - size: the API or the client refuses the answer for its size
 * - unsure: it may be the request, and it may be an outage
 */
export const blameOf = ({ failure }: ApiError, { cursor }: Walk): 'all' | 'walk' | 'size' | 'unsure' => {
  switch (failure) {
    case 'refused':
    case 'unauthorized':
    case 'throttled':
      return 'all';
    case 'not_found':
      return cursor === undefined ? 'all' : 'walk';
    case 'bad_request':
      return 'walk';
    case 'too_large':
      return 'size';
    default:
      return 'unsure';
  }
};

/** A window could not be read to a credible end, and is too narrow to be halved. */
export class UnprovenError extends Error {
  override readonly name = 'UnprovenError';

  constructor({ claim, pages }: Walk, why: string) {
    const window = `${new Date(claim.fromMs).toISOString()} to ${new Date(claim.toMs).toISOString()}`;
    super(`the walk of ${window} ended after ${pages} pages: ${why}`);
  }
}
