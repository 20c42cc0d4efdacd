import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

export interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string; readonly runbook_url: string };
}

export interface RecordingRule {
  readonly record: string;
  readonly expr: string;
}

export interface RuleFile {
  readonly groups: readonly { readonly name: string; readonly rules: readonly (AlertRule | RecordingRule)[] }[];
}

/** deploy/prometheus/rules.yml as it is. */
export const readRuleFile = (): RuleFile =>
  parse(readFileSync(new URL('../../../deploy/prometheus/rules.yml', import.meta.url), 'utf8')) as RuleFile;

/** All rules of deploy/prometheus/rules.yml, in order. */
export const readRules = (): readonly (AlertRule | RecordingRule)[] =>
  readRuleFile().groups.flatMap(({ rules }) => rules);

/** The metrics of orgtrail that a PromQL expression asks for; recorded series are not among them, histograms by their own name. */
export const metricsAsked = (expression: string): readonly string[] =>
  [...expression.matchAll(/(?<![\w:])(orgtrail_\w+)(?![\w:])/g)].map(([, name = '']) =>
    name.replace(/_(bucket|sum|count)$/, ''),
  );

/** The recorded series that a PromQL expression asks for. */
export const recordsAsked = (expression: string): readonly string[] =>
  [...expression.matchAll(/\w+:orgtrail_\w+:\w+/g)].map(([name]) => name);
