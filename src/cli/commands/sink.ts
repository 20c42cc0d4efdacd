import { Command } from 'commander';
import { loadConfig } from '../../app/config/config.ts';
import { OrgtrailError } from '../../base/errors.ts';
import { createOutgoing } from '../../sinks/delivery.ts';
import { type FoundEvent, ownFinding } from '../../sinks/findings/finding.ts';
import { createSink, redactorOf } from '../../sinks/registry.ts';
import { sinkGroup } from '../../status/sink-operations.ts';
import type { CliContext } from '../command.ts';
import { groupCommand } from '../operation-command.ts';

export const sinkCommand = (context: CliContext): Command =>
  groupCommand(sinkGroup, context).addCommand(sinkTestCommand(context));

const testHelp = `
For sinks of detections, alarms and searches. The message says that it is a test. It has a key of its own each time. Uses no database: the position of
the sink stays as it is. Exits with 4 if the receiver does not take it.

Examples:
  $ orgtrail sink test security`;

const sinkTestCommand = (context: CliContext): Command =>
  new Command('test')
    .description('Send a test message to a sink of detections, alarms or searches')
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
