import { z } from 'zod';
import { OrgtrailError } from './errors.ts';
import { unknownParameter } from './text.ts';
import { parseTimeMs, timeForms } from './time.ts';

/**
 * A question about what is stored, or an order, declared once in the room of its subject. The command, for a database and for a daemon, the
 * route with its description, the tool of a model and the pages of docs/reference come from it.
 */
export interface Operation<Source, Input extends z.ZodObject = z.ZodObject, Output extends z.ZodType = z.ZodType> {
  /** The words of the command: `hold list`. */
  readonly name: string;
  /** A sentence without its full stop. */
  readonly says: string;
  /** Of the route. `:name` in it is a field of the input, and an argument of the command. */
  readonly path: string;
  /** Undefined: no model may do it. */
  readonly tool?: string;
  /**
   * `scope`: of a token; `any`: each token has one that will do; `manage` makes it an order. `trail`: how the trail of access calls an answer over HTTP; without it none is kept.
   * The database keeps that of an order.
   */
  readonly needs: { readonly scope: 'any' | 'search' | 'manage'; readonly trail?: 'hold' | 'token' };
  /** Below the options, in the help of the command. */
  readonly help?: string;
  /** Every field has a description. */
  readonly input: Input;
  readonly output: Output;
  /** What the help writes for the value of an option. */
  readonly values?: Readonly<Record<string, string>>;
  /** Of a number, over HTTP and for a model: their answers stand in memory as a whole. */
  readonly most?: Readonly<Record<string, number>>;
  /** `--json` prints an element per line. */
  readonly isLines?: boolean;
  run(source: Source, input: z.output<Input>): Promise<z.output<Output>>;
  /** For people. */
  show(output: z.output<Output>, input: z.output<Input>): string;
  /** Of the command; 0 without it. */
  exitCode?(output: z.output<Output>, input: z.output<Input>): number;
}

/** Infers the types of a declaration. */
export const operation = <Source, Input extends z.ZodObject, Output extends z.ZodType>(
  declared: Operation<Source, Input, Output>,
): Operation<Source> => declared as unknown as Operation<Source>;

export const isOrder = ({ needs }: Pick<Operation<never>, 'needs'>): boolean => needs.scope === 'manage';

/** Limits of RFC 3339. */
export const EARLIEST_MS = Date.parse('0001-01-01T00:00:00Z');
export const LATEST_MS = Date.parse('9999-12-31T23:59:59Z');

/** A Date, and RFC 3339 on the wire. */
export const instant = z.codec(z.string().meta({ format: 'date-time' }), z.date(), {
  decode: (text) => new Date(text),
  encode: (date) => date.toISOString(),
});

/** Fields of inputs. */
export const text = (description: string, most = 1_000) =>
  z.string('must be given once').max(most, `must have at most ${most} characters`).optional().describe(description);

export const integer = (description: string, least: number, most = Number.MAX_SAFE_INTEGER) => {
  const words =
    most === Number.MAX_SAFE_INTEGER
      ? `must be an integer of at least ${least}`
      : `must be between ${least} and ${most}`;
  return z.int(words).min(least, words).max(most, words).optional().describe(description);
};

/** RFC 3339 and PostgreSQL have it. */
export const isOfCalendar = (timeMs: number | undefined): boolean =>
  timeMs !== undefined && timeMs >= EARLIEST_MS && timeMs <= LATEST_MS;

export const flag = (description: string) => z.boolean().optional().describe(description);

export const time = (description: string) =>
  z
    .string('must be given once')
    .refine((given) => isOfCalendar(parseTimeMs(given, Date.now())), `must be a time: ${timeForms}`)
    .optional()
    .describe(description);

export const oneOf = <const T extends readonly string[]>(names: T, description: string) =>
  z
    .enum(names, `must be one of ${names.join(', ')}`)
    .optional()
    .describe(description);

/** `nameOf`: how the one who asks calls a field. A text is read as what it can mean where no text is meant. Throws OrgtrailError `usage`. */
export const readInput = (
  { input }: Pick<Operation<never>, 'input'>,
  given: Readonly<Record<string, unknown>>,
  nameOf: (field: string) => string,
): z.output<z.ZodObject> => {
  const { shape } = input;
  const unknown = Object.keys(given).find((name) => !Object.hasOwn(shape, name));
  if (unknown !== undefined) throw new OrgtrailError('usage', unknownParameter(unknown, Object.keys(shape)));
  const typed = Object.entries(given).map(([name, value]) => {
    const isMeant = (one: unknown) => z.safeParse(shape[name] ?? z.unknown(), one).success;
    return [name, typeof value === 'string' && !isMeant(value) ? (meanings(value).find(isMeant) ?? value) : value];
  });
  const read = input.safeParse(Object.fromEntries(typed));
  if (read.success) return read.data;
  const faults = read.error.issues.map(({ path, message }) => `${nameOf(String(path[0]))} ${message}`);
  throw new OrgtrailError('usage', [...new Set(faults)].join('; '));
};

const meanings = (text: string): readonly unknown[] => [
  ...(/^-?(0|[1-9]\d{0,14})$/.test(text) ? [Number(text)] : []),
  ...(text === 'true' || text === 'false' ? [text === 'true'] : []),
  [text],
];

/** As `readInput`, for those who ask a daemon or a model's tool. */
export const readBounded = (
  operation: Pick<Operation<never>, 'input' | 'most'>,
  given: Readonly<Record<string, unknown>>,
): z.output<z.ZodObject> => {
  const input = readInput(operation, given, (field) => field);
  for (const [field, most] of Object.entries(operation.most ?? {})) {
    if (Number(input[field]) > most) throw new OrgtrailError('usage', `${field} must be at most ${most} here`);
  }
  return input;
};

/** The answer as it goes over the wire: what is not declared does not leave. */
export const perform = async <Source>(
  { output, run }: Pick<Operation<Source>, 'output' | 'run'>,
  source: Source,
  input: z.output<z.ZodObject>,
): Promise<unknown> => z.encode(output, await run(source, input));

/** Fields that the path names. */
export const fieldsOfPath = ({ path }: Pick<Operation<never>, 'path'>): readonly string[] =>
  [...path.matchAll(/:(\w+)/g)].map(([, field = '']) => field);
