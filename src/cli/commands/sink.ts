import { Command } from 'commander';
import { loadConfig } from '../../app/config/config.ts';
import { OrgtrailError } from '../../base/errors.ts';
import { formatDuration } from '../../base/time.ts';
import type { Pool } from '../../postgres/pool.ts';
import { createOutgoing } from '../../sinks/delivery.ts';
import { type FoundEvent, ownFinding } from '../../sinks/findings/finding.ts';
import { createSink, redactorOf } from '../../sinks/registry.ts';
import { planReplay, replaySink } from '../../sinks/replay.sql.ts';
import { listDeadLetters, listSinks, noSuchSink } from '../../status/sink-operations.ts';
import { type CliContext, recordCommand, withDatabase } from '../command.ts';
import { operationCommand } from '../operation-command.ts';

const sinkHelp = `
Uses only the database, so it works beside a running daemon and from any machine. docs/sinks.md has all of it.

Examples:
  $ orgtrail sink list
  $ orgtrail sink replay siem --after 0        everything once more, under the same idempotency keys
  $ orgtrail sink dead-letters siem --json | jq -r .reason`;

const replayHelp = `
The daemon continues from there within a few seconds; a delivery in progress does not undo it. Receivers that use the
idempotency keys store no event twice. Dead letters in that range are retried, too, and are removed once accepted.
Events that are older than max_age of the sink are skipped again: raise it first to send them.
Needs a DATABASE_URL of the account that owns the schema: the account of the daemon may not reset a sink. In the console
it needs a token that was made with --replay.

Examples:
  $ orgtrail sink replay siem --after 120000
  $ orgtrail sink replay siem --after 130000 --skip     skips the events in between permanently`;

export const sinkCommand = (context: CliContext): Command =>
  new Command('sink')
    .description('Show sinks, replay events, list dead letters, send a test')
    .addHelpText('after', sinkHelp)
    .addCommand(operationCommand(listSinks, context))
    .addCommand(replayCommand(context))
    .addCommand(operationCommand(listDeadLetters, context))
    .addCommand(sinkTestCommand(context));

const replayCommand = (context: CliContext): Command =>
  new Command('replay')
    .description('Re-send all events after a position')
    .argument('<name>', 'the sink')
    .requiredOption('--after <position>', 'the last position that is not re-sent; 0 for everything')
    .option('--skip', 'allow moving forward; events in between are not sent')
    .addHelpText('after', replayHelp)
    .action(async (name: string, options: { after: string; skip?: boolean }) => {
      const words = await withDatabase(context, async (pool, { config }) => {
        const hasArchive = config.archive !== undefined;
        const replayed = await replay(pool, name, { ...options, hasArchive });
        const what = { sink: name, after: Number(options.after), skip: options.skip === true };
        await recordCommand(pool, context, { kind: 'replay', command: 'sink replay', what });
        return replayed;
      });
      context.stdout.write(`${words}\n`);
    });

const replay = async (
  pool: Pool,
  name: string,
  options: { after: string; skip?: boolean; hasArchive: boolean },
): Promise<string> => {
  const after = /^\d{1,15}$/.test(options.after) ? Number(options.after) : undefined;
  const plan = await planReplay(pool, name, { after, hasArchive: options.hasArchive });
  if ('kind' in plan) {
    if (plan.kind === 'no sink') throw noSuchSink(name, plan.sinks);
    throw new OrgtrailError('usage', `--after must be a position from 0 to ${plan.head}, the end of the feed`);
  }
  const { sink, left, again, gone } = plan;
  if (left > 0 && options.skip !== true) {
    throw new OrgtrailError('usage', `${name} is at ${sink.position}: ${left} events would never be sent`, {
      hint: 'add --skip if that is intended',
    });
  }
  if (!(await replaySink(pool, name, plan.after))) throw noSuchSink(name, []);
  const moved = left > 0 ? `${left} will not be sent` : `${again} will be sent again`;
  const missed = gone === 0 ? '' : `; retention has dropped up to ${gone} of them`;
  const age = sink.maxAgeSeconds;
  const old = age === null ? '' : `; those older than ${formatDuration(age * 1_000)}, its max_age, will be skipped`;
  return `${name} continues after ${plan.after}: of ${plan.toSend} events to send, ${moved}${missed}${old}`;
};

const testHelp = `
For sinks of detections and alarms. The message says that it is a test. It has a key of its own each time. Uses no database: the position of
the sink stays as it is. Exits with 4 if the receiver does not take it.

Examples:
  $ orgtrail sink test security`;

const sinkTestCommand = (context: CliContext): Command =>
  new Command('test')
    .description('Send a test message to a sink of detections or alarms')
    .argument('<name>', 'the sink')
    .addHelpText('after', testHelp)
    .action(async (name: string) => {
      const config = loadConfig(context.env, { needsCredential: false, interactive: context.interactive });
      const settings = config.sinks.find((each) => each.name === name)?.settings;
      if (settings === undefined) {
        const hint = 'ORGTRAIL_SINKS has its name and its settings';
        throw new OrgtrailError('usage', `no sink ${JSON.stringify(name)} is configured`, { hint });
      }
      if (settings.events === 'entries') {
        const hint = 'an entry that never happened would stand among the others';
        throw new OrgtrailError('usage', `${name} is sent entries of audit logs, and no test`, { hint });
      }
      const sink = createSink(settings, { aws: config.aws });
      try {
        const { delivery } = await createOutgoing([testEvent(new Date().toISOString())], {
          format: settings.format,
          sink,
        });
        if (delivery === undefined) throw new Error('nothing to send');
        const outcome = await sink.deliver(delivery, context.signal);
        if (outcome.kind === 'delivered' && outcome.refused.length === 0) {
          context.stdout.write(`${name}: ${sink.target} has taken the test message\n`);
          return;
        }
        const reason = outcome.kind === 'delivered' ? outcome.refused[0]?.reason : outcome.reason;
        throw new OrgtrailError('api_unreachable', `${name} was not delivered: ${redactorOf(settings)(reason ?? '')}`);
      } finally {
        await sink.close();
      }
    });

/** Least severity: information for PagerDuty. */
const testEvent = (at: string): FoundEvent =>
  ownFinding(
    { position: 0, feedId: '00000000-0000-0000-0000-000000000000', sourceId: 'test', id: `test-${at}`, at },
    { detection: 'test', severity: 'low', summary: 'This is a test of orgtrail: nothing has happened.' },
  );
