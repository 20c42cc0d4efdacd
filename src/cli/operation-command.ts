import { Command } from 'commander';
import { operations } from '../app/operations.ts';
import type { AppSource } from '../app/status-operation.ts';
import { OrgtrailError } from '../base/errors.ts';
import { fieldsOfPath, isOrder, type Operation, perform, readInput } from '../base/operation.ts';
import { type CliContext, type Given, withDatabase } from './command.ts';
import { type Daemon, daemonOf, explainForeign, textOf } from './daemon.ts';
import { keyOf, optionOf } from './options.ts';

type Asked = Operation<AppSource>;
type Report = (exitCode: number) => void;
type Fields = Readonly<Record<string, string | true | readonly string[]>>;

/** For the database or, with --url, for a daemon: both give the same answer, and what is printed is made of that alone. */
export const operationCommand = (operation: Asked, context: CliContext, report: Report = () => {}): Command => {
  const { name, says, input, isLines = false, values } = operation;
  const command = new Command(name.slice(name.lastIndexOf(' ') + 1)).description(says);
  const named = fieldsOfPath(operation);
  const others = Object.keys(input.shape).filter((field) => !named.includes(field));
  const properties = propertiesOf(operation);
  for (const field of named) command.argument(`<${field}>`, helpOf(properties[field]));
  command.option('--json', isLines ? 'print one JSON object per line' : 'print JSON');
  for (const field of others) {
    const { type } = properties[field] ?? {};
    const value = type === 'boolean' ? '' : ` <${values?.[field] ?? 'value'}${type === 'array' ? '...' : ''}>`;
    command.option(`${optionOf(field)}${value}`, helpOf(properties[field]));
  }
  if (operation.help !== undefined) command.addHelpText('after', operation.help);
  return command
    .option('--url <url>', 'ask the daemon at this address')
    .option(
      '--token-file <file>',
      `for --url: file of a token${operation.needs.scope === 'any' ? '' : ` with the scope ${operation.needs.scope}`}`,
    )
    .action(async () => {
      const options = command.opts<Fields & AskOptions>();
      const arguments_ = named.map((field, at) => [field, command.args[at]]);
      const texts = [...arguments_, ...others.map((field) => [field, options[keyOf(field)]])];
      const given: Fields = Object.fromEntries(texts.filter(([, text]) => text !== undefined));
      await runOperation(operation, given, options, context, report);
    });
};

type AskOptions = Given<'url' | 'tokenFile'>;

/** Prints the answer of the database or of a daemon, and reports its exit code. */
export const runOperation = async (
  operation: Asked,
  given: Fields,
  options: AskOptions,
  context: CliContext,
  report: Report = () => {},
): Promise<void> => {
  const isNamed = (field: string) => fieldsOfPath(operation).includes(field);
  const asked = readInput(operation, given, (field) => (isNamed(field) ? field : optionOf(field)));
  const daemon = daemonOf(options, context);
  const body =
    daemon === undefined
      ? await withDatabase(context, (pool, { config }) =>
          perform(operation, { pool, config, hasArchive: config.archive !== undefined }, asked),
        )
      : await askDaemon(daemon, operation, given, context.signal);
  const decode = () => operation.output.parse(body);
  const answer = () => (daemon === undefined ? decode() : explainForeign(daemon, decode));
  const { isLines = false, show, exitCode } = operation;
  context.stdout.write(options.json === true ? jsonOf(body, isLines) : show(answer(), asked));
  if (exitCode !== undefined) report(exitCode(answer(), asked));
};

interface Group {
  readonly name: string;
  readonly says: string;
  readonly help: string;
}

/** With a command for each operation whose name begins with its own: `hold add`, `hold list` … */
export const groupCommand = ({ name, says, help }: Group, context: CliContext, report?: Report): Command => {
  const group = new Command(name).description(says).addHelpText('after', help);
  for (const operation of operations) {
    if (operation.name.startsWith(`${name} `)) group.addCommand(operationCommand(operation, context, report));
  }
  return group;
};

/** A default is said and not given: it is that of the one who answers. */
const helpOf = ({ description = '', default: whenAbsent }: Property = {}): string =>
  whenAbsent === undefined ? description : `${description} (default: ${JSON.stringify(String(whenAbsent))})`;

type Property = Readonly<{ description?: string; default?: unknown; type?: string }>;

const propertiesOf = ({ input }: Asked) =>
  (input.toJSONSchema({ io: 'input' }).properties ?? {}) as Readonly<Record<string, Property>>;

/** A segment of dots would lead to another route. */
const inPath = (text: string): string => {
  if (/^\.{0,2}$/.test(text)) throw new OrgtrailError('usage', `${JSON.stringify(text)} is no name`);
  return encodeURIComponent(text);
};

export const askDaemon = async (
  daemon: Daemon,
  operation: Asked,
  given: Fields,
  signal: AbortSignal,
): Promise<unknown> => {
  const named = fieldsOfPath(operation);
  const path = operation.path.replaceAll(/:(\w+)/g, (_, field: string) => inPath(String(given[field] ?? '')));
  const others = Object.entries(given).filter(([field]) => !named.includes(field));
  const query = new URLSearchParams();
  for (const [field, value] of others) for (const one of [value].flat()) query.append(field, String(one));
  const text = isOrder(operation)
    ? await textOf(daemon, path, signal, Object.fromEntries(others))
    : await textOf(daemon, query.size === 0 ? path : `${path}?${query}`, signal);
  return explainForeign(daemon, () => JSON.parse(text));
};

const jsonOf = (body: unknown, isLines: boolean): string =>
  isLines && Array.isArray(body)
    ? body.map((each) => `${JSON.stringify(each)}\n`).join('')
    : `${JSON.stringify(body, null, 2)}\n`;
