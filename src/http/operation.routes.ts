import type { FastifyInstance } from 'fastify';
import { OrgtrailError } from '../base/errors.ts';
import type { StreamLimits } from '../base/limits.ts';
import { fieldsOfPath, type Operation, perform, readBounded } from '../base/operation.ts';
import type { Pool } from '../postgres/pool.ts';
import { explainForbidden } from '../postgres/sql-state.ts';
import { asRecord } from './access-trail.ts';
import { inPlace } from './failure.ts';
import type { Guard } from './guard.ts';
import { jsonSchema, problem, refusals, withToken } from './openapi.ts';

export type ServedOperation = Operation<{ readonly pool: Pool }>;

interface Serving {
  readonly operations: { readonly pool: Pool };
  readonly streams: StreamLimits;
  readonly guard: Guard;
}

/** A route for each, described by the schemas of its declaration, which also read what is asked and write the answer. */
export const operationRoutes = (
  server: FastifyInstance,
  served: readonly ServedOperation[],
  { operations, streams, guard }: Serving,
): void => {
  for (const operation of served) {
    const { path, needs } = operation;
    server.get(
      path,
      {
        onRequest: guard.requireScope(needs.scope),
        config: needs.trail === undefined ? {} : { trail: needs.trail },
        schema: describe(operation),
        validatorCompiler: () => () => true,
        serializerCompiler: () => (body) => JSON.stringify(body),
      },
      async (request, reply) => {
        try {
          const asked = readBounded(operation, { ...asRecord(request.query), ...asRecord(request.params) });
          return await inPlace(streams, reply, () => perform(operation, operations, asked));
        } catch (error) {
          const forbidden = explainForbidden(error);
          const told = forbidden ?? error;
          if (!(told instanceof OrgtrailError && (told === forbidden || told.code === 'usage'))) throw error;
          const { message: reason, hint } = told;
          const [code, status] = told === forbidden ? [503, 'unavailable'] : [400, 'bad request'];
          return await reply.code(code).send({ status, reason, ...(hint !== undefined && { hint }) });
        }
      },
    );
  }
};

export const problems = {
  400: problem('A parameter is not valid, or names nothing; the body says which.'),
  503: problem('The database does not answer or is busy, or too many readers are served (Retry-After).'),
};

const describe = (operation: ServedOperation) => {
  const { name, says, input, output, most } = operation;
  const named = fieldsOfPath(operation);
  const [tag = name] = name.split(' ');
  const { properties = {} } = jsonSchema(input);
  for (const [field, maximum] of Object.entries(most ?? {})) Object.assign(properties[field] ?? {}, { maximum });
  const others = Object.keys(properties).filter((field) => !named.includes(field));
  const only = (fields: readonly string[]) => ({
    type: 'object',
    properties: Object.fromEntries(fields.map((field) => [field, properties[field]])),
  });
  return {
    ...withToken,
    tags: [tag],
    summary: says,
    ...(named.length > 0 && { params: { ...only(named), required: named } }),
    ...(others.length > 0 && { querystring: only(others) }),
    response: {
      200: { ...jsonSchema(output), description: `As \`orgtrail ${name} --json\` prints it.` },
      ...refusals,
      ...problems,
    },
  };
};
