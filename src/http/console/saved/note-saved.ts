import type { FastifyRequest } from 'fastify';
import type { AccessSource } from '../../../access/ports.ts';

/** A row of the trail has 8,000 characters at most. */
const MAX_NOTED = 2_000;

interface Changed {
  readonly id: number;
  readonly name: string;
  /** Its name until now. */
  readonly before?: string;
  readonly search?: string;
}

/** Notes in the trail of access that a saved search was made, renamed or deleted: the route says which. */
export const noteSaved = (access: AccessSource, request: FastifyRequest, changed: Changed): void =>
  access.note({
    kind: 'saved-search',
    outcome: 'ok',
    who: request.identity?.who,
    address: request.ip,
    route: `${request.method} ${request.routeOptions.url}`,
    status: 303,
    what: { ...changed, ...(changed.search !== undefined && { search: changed.search.slice(0, MAX_NOTED) }) },
    requests: 1,
  });
