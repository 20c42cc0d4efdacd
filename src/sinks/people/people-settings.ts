import { z } from 'zod';
import { parseDurationMs } from '../../time/duration.ts';
import { plainHttpWarnings } from '../http/http-settings.ts';
import { commonSettings, maxAgeSetting, startSetting, streamSetting, urlOf } from '../settings.ts';

const MAX_PAUSE_MS = 60_000;

/** Milliseconds; `0s`: none. */
export const pauseSetting = (fallback: string) =>
  z
    .string()
    .default(fallback)
    .transform((text, issue): number => {
      const ms = text === '0s' ? 0 : (parseDurationMs(text) ?? -1);
      if (ms < 0 || ms > MAX_PAUSE_MS) {
        issue.addIssue({ code: 'custom', message: 'must be a duration from 0s to 1m' });
      }
      return ms;
    });

/**
 * Settings of the kinds that write to people. A new one begins with what happens from now on, and what is older than ten days when it
 * would be sent is skipped: an outage of a week is told of, history is not.
 */
export const peopleSettings = {
  ...commonSettings,
  events: streamSetting('detections', ['detections', 'alarms']),
  start: startSetting('now'),
  max_age: maxAgeSetting('10d'),
  ca_file: z.string().optional(),
  /** Where the console is, for people: a message leads there. */
  console_url: urlOf('https:', 'http:')
    .refine((text) => !/[?#]/.test(text), 'must be a URL without query and fragment')
    .optional(),
};

/** What contradicts itself in the settings of every such kind. */
export const peopleContradictions = ({ format }: { readonly format: string }): string[] =>
  format === 'native' ? [] : ['.format does not apply: this kind writes messages of its own'];

export const peopleWarnings = (url: string, setting = 'url'): string[] =>
  plainHttpWarnings(url, 'its messages').map((text) => text.replace(/^\.url/, `.${setting}`));
