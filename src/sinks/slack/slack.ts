import type { Sink } from '../delivery.ts';
import { messageOf } from '../people/message.ts';
import { createMessageSink } from '../people/message-sink.ts';
import type { SinkKind } from '../sink-kind.ts';
import { MAX_FINDINGS, type SlackSettings, slackSettings } from './settings.ts';
import { slackMessage } from './slack-message.ts';

const checks = { credential: 'webhook_url', address: 'webhook_url' };
/** Fifty blocks with texts of 3,000 characters come nowhere near. */
const MAX_BYTES = 500_000;

/** Writes to a channel by an incoming webhook: any 2xx is success. */
const create = (settings: SlackSettings): Sink =>
  createMessageSink({
    url: settings.webhook_url,
    target: new URL(settings.webhook_url).origin,
    timeoutMs: settings.timeout,
    caFile: settings.ca_file,
    secrets: [settings.webhook_url, ...slackSettings.derivedSecrets(settings)],
    maxEvents: MAX_FINDINGS,
    maxBytes: MAX_BYTES,
    pauseMs: settings.pause,
    checks,
    write: (events) => slackMessage(events.map((event) => messageOf(event, settings.console_url))),
  });

export const slack: SinkKind<typeof slackSettings.settings> = { ...slackSettings, create };
