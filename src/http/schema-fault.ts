import type { FastifySchemaValidationError } from 'fastify/types/schema.js';
import { unknownParameter } from '../text/nearest.ts';

/** What Ajv adds with `verbose`. */
interface SchemaParts {
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly enum?: readonly unknown[];
}

/** What is wrong with the parameters of a request, in words that name the parameter. The formatter of Fastify; needs Ajv's `verbose`. */
export const schemaFault = (errors: readonly FastifySchemaValidationError[], part: string): Error => {
  const [error] = errors;
  return new Error(error === undefined ? `${part} is not valid` : faultText(error, part));
};

const faultText = (error: FastifySchemaValidationError, part: string): string => {
  const { keyword, instancePath, params, message = 'is not valid' } = error;
  const { parentSchema = {} } = error as FastifySchemaValidationError & { readonly parentSchema?: SchemaParts };
  const name = instancePath === '' ? part : instancePath.slice(1).replaceAll('/', ' ');
  const { minimum, maximum } = parentSchema;
  if (keyword === 'additionalProperties') {
    return unknownParameter(String(params['additionalProperty']), Object.keys(parentSchema.properties ?? {}));
  }
  if (keyword === 'enum') return `${name} must be one of ${(parentSchema.enum ?? []).join(', ')}`;
  if ((keyword === 'minimum' || keyword === 'maximum') && minimum !== undefined && maximum !== undefined) {
    return `${name} must be between ${minimum} and ${maximum}`;
  }
  return `${name} ${message}`;
};
