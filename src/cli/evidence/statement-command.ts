import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { accountIds, organizationIds } from '../../app/chosen-sources.ts';
import type { Config } from '../../app/config/config.ts';
import { coverageOf } from '../../app/start-evidence.ts';
import { exitCodes, OrgtrailError } from '../../base/errors.ts';
import { alignColumns } from '../../base/text.ts';
import { buildOnce } from '../../evidence/builder/build-forever.ts';
import type { NamedSource } from '../../evidence/builder/ports.ts';
import type { StatementOf } from '../../evidence/journal/statement.ts';
import { askCoverage, countUnanswered, readAnswers } from '../../evidence/stored/orders.sql.ts';
import type { Pool } from '../../postgres/pool.ts';
import { type CliContext, withDatabase } from '../command.ts';
import { builderOf, collect } from './lifecycle.ts';

const help = `
Asks the process that builds the evidence to state now what is covered, and waits until a signed checkpoint has it. If no process builds,
this one does, with the key of ORGTRAIL_EVIDENCE_KEY_FILE. Needs an account with the role orgtrail_evidence. Exit code 1 if a source was
not stated, 5 if nothing is signed any more.

Examples:
  $ orgtrail evidence statement --organization 'Acme Aerospace'
  $ orgtrail evidence statement --all --json`;

interface Options {
  readonly organization: readonly string[];
  readonly account: readonly string[];
  readonly all?: boolean;
  readonly json?: boolean;
}

/** How long to wait for one more statement. */
const PATIENCE_MS = 60_000;
const LOOK_MS = 500;

export const statementCommand = (context: CliContext, report: (exitCode: number) => void): Command =>
  new Command('statement')
    .description('State now what is covered, and print the statements')
    .option('--organization <name or id>', 'of the log of this organization; may be repeated', collect, [])
    .option('--account <name or id>', 'of the log of this account; may be repeated', collect, [])
    .option('--all', 'of every log')
    .option('--json', 'print the statements, one a line')
    .addHelpText('after', help)
    .action(async (options: Options) => {
      await withDatabase(context, async (pool, { config }) => {
        const sources = await sourcesOf(pool, options);
        const asked = await askCoverage(pool, sources);
        const state = await untilAnswered(pool, config, sources);
        let answers = 0;
        const rows: string[][] = [];
        for await (const answer of readAnswers(pool, sources)) {
          answers += 1;
          if (options.json === true) context.stdout.write(`${JSON.stringify(answer.statement)}\n`);
          else rows.push(rowOf(answer));
        }
        if (rows.length > 0) context.stdout.write(`${alignColumns([header, ...rows]).join('\n')}\n`);
        if (answers === asked) return;
        const left = `${asked - answers} of ${asked} sources were not stated`;
        context.stderr.write(
          state === 'stopped'
            ? `${left}: nothing is signed, see \`orgtrail evidence status\`\n`
            : `${left}: they are read with filters that the building process does not have, or no process builds\n`,
        );
        report(state === 'stopped' ? exitCodes.evidenceFails : exitCodes.sourceFailed);
      });
    });

/** Undefined: all. */
const sourcesOf = async (pool: Pool, { organization, account, all }: Options) => {
  const isNamed = organization.length + account.length > 0;
  if (isNamed === (all === true)) {
    throw new OrgtrailError('usage', 'which sources? give --organization, --account, or --all and neither of them');
  }
  if (all === true) return undefined;
  return [
    ...(await organizationIds(pool, organization)).map((id) => ({ kind: 'organization', id })),
    ...(await accountIds(pool, account)).map((id) => ({ kind: 'account', id })),
  ];
};

/** Waits for the process that builds, or builds. `stopped`: nothing is signed. */
const untilAnswered = async (pool: Pool, config: Config, sources: readonly NamedSource[] | undefined) => {
  const { evidence, leaseMs } = config;
  const coverage = evidence && { ...coverageOf(config, evidence.statementsMs), lookMs: 0 };
  const building = builderOf(pool, evidence, leaseMs, coverage);
  let left = Number.POSITIVE_INFINITY;
  let progressMs = performance.now();
  while (performance.now() - progressMs < PATIENCE_MS) {
    const built = building && (await buildOnce(building.builder, building.lease));
    if (built === 'stopped') return 'stopped';
    const count = await countUnanswered(pool, sources);
    if (count === 0) return 'answered';
    // This process has stated all that it can.
    if (built === 'done' && count === left) return 'waited';
    if (count < left) progressMs = performance.now();
    left = count;
    await sleep(LOOK_MS);
  }
  return 'waited';
};

const header = ['source', '', 'events', 'leaf', 'as of', 'read from', 'until', 'ranges', 'again', 'holes'];

const rowOf = ({ kind, id, statement }: NamedSource & { readonly statement: StatementOf<'coverage'> }): string[] => {
  const { index, events, as_of, read, again, holes, left_out } = statement;
  const [from, until] = [read[0]?.[0] ?? 'nothing yet', read.at(-1)?.[1] ?? ''];
  const counts = [events, index].map(String);
  const ranges = [read.length, again.length, holes.length + left_out.holes].map(String);
  return [kind, id, ...counts, as_of, from, until, ...ranges];
};
