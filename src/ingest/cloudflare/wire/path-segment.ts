import { ApiError } from '../../../errors.ts';

/**
 * An id as one segment of a path. Throws ApiError `bad_request` for one that no encoding keeps from changing the
 * path: servers and proxies resolve `..`, and `%2E%2E` too.
 */
export function pathSegment(id: string): string {
  if (['', '.', '..'].includes(id)) throw new ApiError('bad_request', `The id "${id}" cannot be part of a path`);
  return encodeURIComponent(id.toWellFormed());
}
