import { stringify } from 'yaml';
import { formatDuration, parseDurationMs } from '../../src/base/time.ts';
import { readRuleFile } from '../../test/support/deploy/prometheus-rules.ts';

/** Everything that takes time in the rules takes this much less in a run. */
export const FACTOR = 60;
/** But no `for` is longer or shorter than this; no window is shorter than one that a rate needs at a scrape a second. */
const MAX_FOR_MS = 20_000;
const MIN_FOR_MS = 2_000;
const MIN_WINDOW_MS = 5_000;

const shortened = (text: string, shortestMs: number, longestMs = Number.POSITIVE_INFINITY): string => {
  const ms = parseDurationMs(text);
  if (ms === undefined) throw new Error(`not a duration: ${text}`);
  return formatDuration(Math.min(longestMs, Math.max(shortestMs, ms / FACTOR))).replaceAll(' ', '');
};

/**
 * deploy/prometheus/rules.yml for a run of minutes: every `for`, every window, and every threshold that is a number of seconds since
 * something happened is divided by FACTOR. Everything else is as it is: the seven days of OrgtrailGapNearsRetention, by how much
 * clocks may differ, how far coverage may reach, and how old an anchor may be, which is visited every five minutes.
 */
export const shortenedRules = (): string => {
  const { groups } = readRuleFile();
  const shorter = groups.map((group) => ({
    ...group,
    rules: group.rules.map((rule) => ({
      ...rule,
      expr: rule.expr
        .replace(/\[(\w+)\]/g, (_, window: string) => `[${shortened(window, MIN_WINDOW_MS)}]`)
        .replace(
          /(?<!clock_difference|coverage_future|anchor_age)(_seconds\)+ (?:>|<=)) (\d+)/g,
          (_, before: string, seconds: string) => `${before} ${Number(seconds) / FACTOR}`,
        ),
      ...('for' in rule && rule.for !== undefined ? { for: shortened(rule.for, MIN_FOR_MS, MAX_FOR_MS) } : {}),
    })),
  }));
  return stringify({ groups: shorter });
};
