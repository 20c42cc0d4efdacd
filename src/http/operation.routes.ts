import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { OrgtrailError } from '../base/errors.ts';
import type { StreamLimits } from '../base/limits.ts';
import { fieldsOfPath, isOrder, type Operation, perform, readBounded } from '../base/operation.ts';
import { type AccessNote, scopes, tokenProof } from '../postgres/access/access.ts';
import type { OperationSource } from '../postgres/access/access-log.sql.ts';
import { explainForbidden } from '../postgres/sql-state.ts';
import { asRecord, changeNote } from './access-trail.ts';
import { inPlace } from './failure.ts';
import { bearerOf, type Guard } from './guard.ts';
import { jsonSchema, problem, refusals, withToken } from './openapi.ts';

/** What it is asked of, beside an `OperationSource`, the composition root gives. */
export type ServedOperation = Operation<never>;

interface Serving {
  readonly source: () => Omit<OperationSource, 'giver'>;
  readonly streams: StreamLimits;
  readonly guard: Guard;
  readonly logger: Logger;
}

/** A route for each, described by the schemas of its declaration, which also read what is asked and write the answer. */
export const operationRoutes = (
  server: FastifyInstance,
  served: readonly ServedOperation[],
  { source, streams, guard, logger }: Serving,
): void => {
  for (const operation of served) {
    const { path, needs } = operation;
    const ordered = isOrder(operation);
    const requireScope = guard.requireScope(...(needs.scope === 'any' ? scopes : [needs.scope]));
    server.route({
      method: ordered ? 'POST' : 'GET',
      url: path,
      onRequest: ordered ? [requireScope, ownOrigin] : requireScope,
      config: needs.trail === undefined ? {} : { trail: needs.trail },
      schema: describe(operation),
      validatorCompiler: () => () => true,
      serializerCompiler: () => (body) => JSON.stringify(body),
      handler: async (request, reply) => {
        try {
          const given = ordered ? fieldsOf(request) : asRecord(request.query);
          const asked = readBounded(operation, { ...given, ...asRecord(request.params) });
          const asking = { ...source(), giver: ordered ? giverOf(request) : undefined } as never;
          return await inPlace(streams, reply, async () => {
            const answer = await perform(operation, asking, asked);
            if (ordered) logger.info({ access: orderNote(request, operation, asked) }, 'access: order ok');
            return answer;
          });
        } catch (error) {
          if (ordered && error instanceof OrgtrailError && error.code === 'configuration') {
            return await reply.code(403).send({ status: 'forbidden', reason: error.message });
          }
          const forbidden = explainForbidden(error);
          const told = forbidden ?? error;
          if (!(told instanceof OrgtrailError && (told === forbidden || told.code === 'usage'))) throw error;
          const { message: reason, hint } = told;
          const [code, status] = told === forbidden ? [503, 'unavailable'] : [400, 'bad request'];
          return await reply.code(code).send({ status, reason, ...(hint !== undefined && { hint }) });
        }
      },
    });
  }
};

/** As the database has noted it. */
const orderNote = (request: FastifyRequest, { name }: ServedOperation, what: AccessNote['what']): AccessNote => {
  const [group = name] = name.split(' ');
  const kind = group === 'sink' ? 'replay' : (group as AccessNote['kind']);
  return { ...changeNote(request, kind, what), status: 200 };
};

/** What stands in the address goes through the logs of proxies, and a body of another form would be left out. */
const fieldsOf = ({ query, body = {}, params }: FastifyRequest): Readonly<Record<string, unknown>> => {
  const isObject = typeof body === 'object' && body !== null && !Array.isArray(body);
  const isTwice = Object.keys(asRecord(params)).some((field) => Object.hasOwn(asRecord(body), field));
  if (isObject && !isTwice && Object.keys(asRecord(query)).length === 0) return asRecord(body);
  throw new OrgtrailError('usage', 'the fields of an order that are not in its path are an object of JSON in the body');
};

/** A page of another site that knows a token. Programs send no Origin. */
const ownOrigin = async ({ headers, protocol, host }: FastifyRequest, reply: FastifyReply): Promise<void> => {
  if (headers.origin === undefined || headers.origin === `${protocol}://${host}`) return;
  await reply.code(403).send({ status: 'forbidden', reason: 'the order comes from a page of another site' });
};

/** The guard has let the token in; the database asks for its proof. */
const giverOf = (request: FastifyRequest): OperationSource['giver'] => ({
  proof: tokenProof(bearerOf(request) ?? ''),
  address: request.ip,
  route: `POST ${request.routeOptions.url}`,
});

export const problems = {
  400: problem('A parameter is not valid, or names nothing; the body says which.'),
  503: problem('The database does not answer or is busy, or too many readers are served (Retry-After).'),
};

const describe = (operation: ServedOperation) => {
  const { name, says, input, output, most } = operation;
  const named = fieldsOfPath(operation);
  const [tag = name] = name.split(' ');
  const { properties = {}, required: needed = [] } = jsonSchema(input);
  for (const [field, maximum] of Object.entries(most ?? {})) Object.assign(properties[field] ?? {}, { maximum });
  const others = Object.keys(properties).filter((field) => !named.includes(field));
  const only = (fields: readonly string[]) => ({
    type: 'object',
    properties: Object.fromEntries(fields.map((field) => [field, properties[field]])),
    required: needed.filter((field) => fields.includes(field)),
  });
  return {
    ...withToken,
    tags: [tag],
    summary: says,
    ...(isOrder(operation) && { description: 'An order: the token has the scope manage, also on loopback.' }),
    ...(named.length > 0 && { params: only(named) }),
    ...(others.length > 0 && (isOrder(operation) ? { body: only(others) } : { querystring: only(others) })),
    response: {
      200: { ...jsonSchema(output), description: `As \`orgtrail ${name} --json\` prints it.` },
      ...refusals,
      ...problems,
    },
  };
};
