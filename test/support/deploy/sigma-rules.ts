import { readdirSync, readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';

type Value = string | number;
type Matchers = Readonly<Record<string, Value | readonly Value[]>>;

/** A rule about single events: named searches, each one map (all of it) or a list of maps (one of them). */
export interface SigmaRule {
  readonly title: string;
  readonly id: string;
  readonly name?: string;
  readonly logsource: Readonly<Record<string, string>>;
  readonly detection: Readonly<Record<string, Matchers | readonly Matchers[]>> & { readonly condition: string };
}

/** What only a rule that stands for itself has. */
interface SigmaAbout {
  readonly title: string;
  readonly id: string;
  readonly status: string;
  readonly description: string;
  readonly references: readonly string[];
  readonly date: string;
  readonly tags: readonly string[];
  readonly falsepositives: readonly string[];
  readonly level: string;
}

export interface SigmaCorrelation {
  readonly correlation: {
    readonly type: 'event_count';
    readonly rules: readonly string[];
    readonly 'group-by': readonly string[];
    readonly timespan: string;
    readonly condition: { readonly gte: number };
  };
}

/** A file of deploy/sigma: a rule, or one and a correlation over it. */
export interface SigmaFile {
  readonly file: string;
  /** The name of the detection, as in SQL. */
  readonly detection: string;
  readonly text: string;
  readonly rule: SigmaRule;
  readonly about: SigmaAbout;
  readonly correlation: SigmaCorrelation['correlation'] | undefined;
}

const folder = new URL('../../../deploy/sigma/', import.meta.url);

const readRuleFile = (file: string): SigmaFile => {
  const text = readFileSync(new URL(file, folder), 'utf8');
  const documents = parseAllDocuments(text);
  const faults = documents.flatMap(({ errors, warnings }) => [...errors, ...warnings]);
  if (faults[0] !== undefined) throw faults[0];
  const [rule, outer, ...more] = documents.map((document) => document.toJS());
  if (more.length > 0) throw new Error(`${file} has more than two documents`);
  const detection = file.replace(/^cloudflare_|\.yml$/g, '');
  return { file, detection, text, rule, about: outer ?? rule, correlation: outer?.correlation };
};

/** All of deploy/sigma, in the order of their names. Throws on what is no YAML. */
export const readSigmaFiles = (): readonly SigmaFile[] => readdirSync(folder).sort().map(readRuleFile);
