import type { Sink } from '../../../src/sinks/delivery.ts';
import { sinkSettings } from '../../../src/sinks/settings.ts';
import { createSyslogSink } from '../../../src/sinks/syslog/syslog.ts';

/** A sink with these settings, as a user would write them; unless they say otherwise, it has time on a busy machine, too. */
export const syslogSink = (settings: { readonly url: string } & Readonly<Record<string, unknown>>): Sink => {
  const parsed = sinkSettings.parse({ type: 'syslog', timeout: '10m', ...settings });
  if (parsed.type !== 'syslog') throw new Error('not a syslog sink');
  return createSyslogSink(parsed);
};
