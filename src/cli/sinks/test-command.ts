import { Command } from 'commander';
import { loadConfig } from '../../config/config.ts';
import { OrgtrailError } from '../../errors.ts';
import type { FoundEvent } from '../../findings/finding.ts';
import { createOutgoing } from '../../sinks/outgoing.ts';
import { redactorOf } from '../../sinks/redaction.ts';
import { createSink } from '../../sinks/registry.ts';
import type { CliContext } from '../cli-context.ts';

const help = `
For sinks of detections and alarms. The message says that it is a test. It has a key of its own each time. Uses no database: the position of
the sink stays as it is. Exits with 4 if the receiver does not take it.

Examples:
  $ orgtrail sink test security`;

/** `orgtrail sink test`. */
export const sinkTestCommand = (context: CliContext): Command =>
  new Command('test')
    .description('Send a test message to a sink of detections or alarms')
    .argument('<name>', 'the sink')
    .addHelpText('after', help)
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
        const { delivery } = await createOutgoing([testEvent(new Date())], { format: settings.format, sink });
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

/** Of the least severity: PagerDuty shows it as information. */
const testEvent = (now: Date): FoundEvent => ({
  position: 0,
  feedId: '00000000-0000-0000-0000-000000000000',
  sourceKind: 'orgtrail',
  sourceId: 'test',
  organizationId: null,
  organizationName: 'orgtrail',
  accountId: null,
  accountName: null,
  zoneId: null,
  zoneName: null,
  id: `test-${now.toISOString()}`,
  actionTime: now.toISOString(),
  receivedAt: now.toISOString(),
  rawText: '{}',
  defects: null,
  finding: {
    detection: 'test',
    severity: 'low',
    eventPosition: 0,
    events: 1,
    firstTime: now.toISOString(),
    actor: 'orgtrail',
    actorIpAddress: null,
    actionType: null,
    actionResult: null,
    resourceType: null,
    resourceId: null,
    summary: 'This is a test of orgtrail: nothing has happened.',
  },
});
