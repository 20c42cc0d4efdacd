import { Command, CommanderError } from 'commander';
import { showStatus } from '../app/status-operation.ts';
import { holdGroup } from '../archive/hold-operations.ts';
import { ApiError, codeOf, exitCodes, OrgtrailError, SearchError } from '../base/errors.ts';
import { version } from '../base/package-files.ts';
import { tokenGroup } from '../postgres/access/token-operations.ts';
import { explainForbidden, sqlState } from '../postgres/sql-state.ts';
import { archiveCommand } from './archive/archive-command.ts';
import { apiAdvice, type CliContext } from './command.ts';
import { checkCommand } from './commands/check.ts';
import { configCommand } from './commands/config.ts';
import { demoCommand } from './commands/demo.ts';
import { feedCommand } from './commands/feed.ts';
import { fetchCommand } from './commands/fetch.ts';
import { migrateCommand } from './commands/migrate.ts';
import { queryCommand } from './commands/query.ts';
import { runCommand } from './commands/run.ts';
import { simulateCommand } from './commands/simulate.ts';
import { sinkCommand } from './commands/sink.ts';
import { backfillCommand, syncCommand } from './commands/sync.ts';
import { verifyCommand } from './commands/verify.ts';
import { evidenceCommand } from './evidence/evidence-command.ts';
import { mcpCommand } from './mcp/mcp-command.ts';
import { groupCommand, operationCommand } from './operation-command.ts';
import { searchCommand } from './search/search-command.ts';

const examples = `
Examples:
  $ orgtrail demo                    try it: a simulated Cloudflare, an embedded PostgreSQL, the real daemon
  $ orgtrail check                   check credentials, organizations, database and schema
  $ orgtrail run                     run the daemon: continuously collects audit logs, serves health and metrics
  $ orgtrail sync                    collect what is missing, then exit
  $ orgtrail search --since 7d --actor mira@example.com
  $ orgtrail status --json           show collection status of every organization

Settings come from the environment, from .env and from the YAML file that ORGTRAIL_CONFIG names;
docs/reference/settings.md lists them all.
Exit codes: 0 done, 1 some source failed, 2 bad configuration or usage, 3 database newer than this orgtrail,
4 a service was unreachable, 5 the evidence does not hold, 130/143 stopped by a signal. A command waits until all
that it printed is read; if the reader of stdout goes away, it ends with 0. Daemons and sync go on without one.`;

const detectionsGroup = {
  name: 'detections',
  says: 'Check the detections of your own',
  help: `
Examples:
  $ orgtrail detections check`,
};

/** `report` gets the exit code of a command that fails. */
export const createProgram = (context: CliContext, report: (exitCode: number) => void): Command => {
  const program = new Command('orgtrail')
    .description(
      'Keeps every audit-log entry of every Cloudflare Organization, and of its accounts, that a credential can reach.',
    )
    .version(version)
    .addHelpText('after', examples);
  const subcommands = [
    runCommand(context),
    syncCommand(context, report),
    checkCommand(context, report),
    configCommand(context, report),
    operationCommand(showStatus, context, report),
    sinkCommand(context),
    groupCommand(detectionsGroup, context, report),
    groupCommand(holdGroup, context),
    groupCommand(tokenGroup, context),
    backfillCommand(context, report),
    verifyCommand(context, report),
    migrateCommand(context),
    feedCommand(context),
    fetchCommand(context),
    evidenceCommand(context, report),
    archiveCommand(context, report),
    searchCommand(context),
    queryCommand(context),
    mcpCommand(context),
    simulateCommand(context),
    demoCommand(context, report),
  ];
  for (const command of subcommands) program.addCommand(command);
  for (const command of [program, ...subcommands, ...subcommands.flatMap(({ commands }) => commands)]) {
    command.exitOverride().showHelpAfterError(`See: ${pathOf(command)} --help`);
    command.configureOutput({
      writeOut: (text) => context.stdout.write(folded(text, context.stdout.columns)),
      writeErr: (text) => context.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'orgtrail: ')),
    });
  }
  return program;
};

/** Lines that a terminal would break within words; examples stay whole. */
const folded = (text: string, width: number | undefined): string =>
  width === undefined || width < 40
    ? text
    : text.replaceAll(new RegExp(`^(?! *\\$)(?=.{${width + 1}}).*$`, 'gm'), (line) => {
        const indent = /^ */.exec(line)?.[0] ?? '';
        return line.replaceAll(new RegExp(`(.{1,${width - indent.length}})(?: +|$)`, 'g'), `$1\n${indent}`).trimEnd();
      });

/** Returns the exit code. Faults of the user show as a sentence and a hint, not as a stack. */
export const runCli = async (argv: readonly string[], context: CliContext): Promise<number> => {
  let exitCode: number = exitCodes.done;
  const program = createProgram(context, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (error) {
    return explain(error, context);
  }
};

/** `orgtrail sink replay`. */
const pathOf = (command: Command): string =>
  command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;

const explain = (error: unknown, context: CliContext): number => {
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  if (context.signal.aborted) return Number(context.signal.reason);
  const { message, hint, exitCode } = describe(error);
  context.stderr.write(`orgtrail: ${message}\n`);
  if (hint !== undefined) context.stderr.write(`Try: ${hint}\n`);
  return exitCode;
};

const describe = (error: unknown): { message: string; hint?: string | undefined; exitCode: number } => {
  if (error instanceof OrgtrailError) return error;
  if (error instanceof ApiError) return { message: error.message, ...apiAdvice(error) };
  if (error instanceof SearchError) {
    return { message: error.message, exitCode: error.reason === 'refused' ? exitCodes.usage : exitCodes.unreachable };
  }
  if (isConnectionFault(error)) {
    return {
      message: `lost the database connection: ${error.message}`,
      hint: 'check that PostgreSQL is running; committed data is safe, and the next run continues from there',
      exitCode: exitCodes.unreachable,
    };
  }
  if (error instanceof Error && 'code' in error && /^(?:ENOSPC|EDQUOT)$/.test(String(error.code))) {
    return {
      message: `the disk or the quota is full: ${error.message}`,
      hint: 'make room, or write to another disk',
      exitCode: exitCodes.usage,
    };
  }
  const forbidden = explainForbidden(error);
  if (forbidden !== undefined) return forbidden;
  // A bug: here the stack helps.
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { message: `unexpected error (please report this)\n${stack}`, exitCode: exitCodes.sourceFailed };
};

const isConnectionFault = (error: unknown): error is Error => {
  const state = sqlState(error) ?? '';
  const code = codeOf(error) ?? '';
  const lost = /^(ECONN|EPIPE|ETIMEDOUT|EHOST|ENOTFOUND)/.test(code) || /^(08|57P)/.test(state);
  return (
    lost ||
    (error instanceof Error && /^(Connection terminated|timeout exceeded when trying to connect)/.test(error.message))
  );
};
