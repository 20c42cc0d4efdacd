import type { Sink } from '../../../src/sinks/delivery.ts';
import { createSink, sinkSettings } from '../../../src/sinks/registry.ts';

/** A sink with these settings, as a user would write them; unless they say otherwise, it has time on a busy machine, too. */
export const syslogSink = (settings: { readonly url: string } & Readonly<Record<string, unknown>>): Sink =>
  createSink(sinkSettings.parse({ type: 'syslog', timeout: '10m', ...settings }));
