import { Command } from 'commander';
import { fieldsOfPath, type Operation, perform, readInput } from '../base/operation.ts';
import type { Pool } from '../postgres/pool.ts';
import { type CliContext, withDatabase } from './command.ts';
import { type Daemon, daemonOf, explainForeign, textOf } from './daemon.ts';
import { keyOf, optionOf } from './options.ts';

type Question = Operation<{ readonly pool: Pool }>;
type Texts = Readonly<Record<string, string>>;

/** For the database or, with --url, for a daemon: both give the same answer, and what is printed is made of that alone. */
export const operationCommand = (operation: Question, context: CliContext, report = (_: number) => {}): Command => {
  const { name, says, input, isLines = false, values } = operation;
  const command = new Command(name.slice(name.lastIndexOf(' ') + 1)).description(says);
  const named = fieldsOfPath(operation);
  const others = Object.keys(input.shape).filter((field) => !named.includes(field));
  for (const field of named) command.argument(`<${field}>`, helpOf(operation, field));
  command.option('--json', isLines ? 'print one JSON object per line' : 'print JSON');
  for (const field of others) {
    command.option(`${optionOf(field)} <${values?.[field] ?? 'value'}>`, helpOf(operation, field));
  }
  return command
    .option('--url <url>', 'ask the daemon at this address instead of the database')
    .option('--token-file <file>', `with --url: a file with a token that has the scope ${operation.needs.scope}`)
    .action(async () => {
      const options = command.opts<Texts & { readonly json?: true }>();
      const arguments_ = named.map((field, at) => [field, command.args[at]]);
      const texts = [...arguments_, ...others.map((field) => [field, options[keyOf(field)]])];
      const given: Texts = Object.fromEntries(texts.filter(([, text]) => text !== undefined));
      const asked = readInput(operation, given, (field) => (named.includes(field) ? field : optionOf(field)));
      const daemon = daemonOf(options, context);
      const body =
        daemon === undefined
          ? await withDatabase(context, (pool) => perform(operation, { pool }, asked))
          : await askDaemon(daemon, operation, given, context.signal);
      const decode = () => operation.output.parse(body);
      const answer = () => (daemon === undefined ? decode() : explainForeign(daemon, decode));
      context.stdout.write(options.json === true ? jsonOf(body, isLines) : operation.show(answer()));
      if (operation.exitCode !== undefined) report(operation.exitCode(answer()));
    });
};

/** A default is said and not given: it is that of the one who answers. */
const helpOf = ({ input }: Question, field: string): string => {
  const schema = input.toJSONSchema({ io: 'input' }).properties?.[field];
  if (typeof schema !== 'object') return '';
  const { description = '', default: whenAbsent } = schema;
  return whenAbsent === undefined ? description : `${description} (default: ${JSON.stringify(String(whenAbsent))})`;
};

const askDaemon = async (daemon: Daemon, operation: Question, given: Texts, signal: AbortSignal): Promise<unknown> => {
  const named = fieldsOfPath(operation);
  const path = operation.path.replaceAll(/:(\w+)/g, (_, field: string) => encodeURIComponent(given[field] ?? ''));
  const query = new URLSearchParams(Object.entries(given).filter(([field]) => !named.includes(field)));
  const text = await textOf(daemon, query.size === 0 ? path : `${path}?${query}`, signal);
  return explainForeign(daemon, () => JSON.parse(text));
};

const jsonOf = (body: unknown, isLines: boolean): string =>
  isLines && Array.isArray(body)
    ? body.map((each) => `${JSON.stringify(each)}\n`).join('')
    : `${JSON.stringify(body, null, 2)}\n`;
