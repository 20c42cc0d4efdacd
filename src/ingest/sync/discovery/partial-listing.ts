import { ApiError } from '../../../errors.ts';

/** A listing counts more than it has named, or another credential, which may show more, has not listed: nothing is missed by it. */
export class PartialListingError extends ApiError {
  constructor(cause: ApiError) {
    super(cause.failure, cause.message, { cause, apiCodes: cause.apiCodes });
  }
}
