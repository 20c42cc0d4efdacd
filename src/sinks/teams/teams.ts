import type { Sink } from '../delivery.ts';
import { messageOf } from '../people/message.ts';
import { createMessageSink } from '../people/message-sink.ts';
import type { SinkKind } from '../sink-kind.ts';
import { MAX_FINDINGS, type TeamsSettings, teamsSettings } from './settings.ts';
import { teamsMessage } from './teams-message.ts';

const checks = { credential: 'webhook_url', address: 'webhook_url, and that the workflow is on' };
/** Of 28 KB that Teams takes. */
const MAX_BYTES = 28_000;

/** Writes to a chat or channel of Microsoft Teams by a workflow: any 2xx is success. */
const create = (settings: TeamsSettings): Sink =>
  createMessageSink({
    url: settings.webhook_url,
    target: new URL(settings.webhook_url).origin,
    timeoutMs: settings.timeout,
    caFile: settings.ca_file,
    secrets: [settings.webhook_url, ...teamsSettings.derivedSecrets(settings)],
    maxEvents: MAX_FINDINGS,
    maxBytes: MAX_BYTES,
    pauseMs: settings.pause,
    checks,
    write: (events) => teamsMessage(events.map((event) => messageOf(event, settings.console_url))),
  });

export const teams: SinkKind<typeof teamsSettings.settings> = { ...teamsSettings, create };
