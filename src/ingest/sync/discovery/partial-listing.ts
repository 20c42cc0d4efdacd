import { ApiError } from '../../../errors.ts';

/** Some credentials have listed organizations, and others, which may show more, have not: nothing is missed by such a listing. */
export class PartialListingError extends ApiError {
  constructor(cause: ApiError) {
    super(cause.failure, cause.message, { cause, apiCodes: cause.apiCodes });
  }
}
