import { accessSync, constants } from 'node:fs';
import type { z } from 'zod';
import { didYouMean, nearest } from '../../base/text.ts';
import { formats } from '../../formats/registry.ts';
import { findingFormats, isFindingFormat } from '../../sinks/findings/finding.ts';
import { kindOf, type SinkSettings, sinkKinds, sinkSecrets, sinkSettings, sinkTypes } from '../../sinks/registry.ts';
import { isObject, parseObject, type Raw, readSecretFile, repeatedBy } from './secret-settings.ts';

export interface NamedSink {
  readonly name: string;
  readonly settings: SinkSettings;
}

const SETTING = 'ORGTRAIL_SINKS';
const EXPECTED = `${SETTING} must be a JSON object of sinks, such as {"siem": {"type": "file", "path": "/var/log/orgtrail.ndjson"}}`;

/** Adds to `faults` what is wrong, by path, and never a value: any may be a secret, by mistake. Reads the files of secrets. */
export const readSinks = (text: string | undefined, faults: string[]): readonly NamedSink[] => {
  if (text === undefined) return [];
  const sinks: NamedSink[] = [];
  for (const [name, raw] of Object.entries(parseObject(text, EXPECTED, faults))) {
    if (!/^[a-z0-9_-]{1,40}$/.test(name)) {
      faults.push(`${SETTING}: the name of a sink must have 1 to 40 characters of a-z, 0-9, _ and -`);
    } else if (!isObject(raw)) faults.push(`${SETTING}.${name} must be an object`);
    else {
      const settings = readSink(`${SETTING}.${name}`, raw, faults);
      if (settings !== undefined) sinks.push({ name, settings });
    }
  }
  faults.push(...shared(sinks));
  return sinks;
};

const readSink = (path: string, raw: Raw, faults: string[]): SinkSettings | undefined => {
  const { values, fromFile } = withSecretFiles(path, raw, faults);
  const parsed = sinkSettings.safeParse(values);
  if (!parsed.success) {
    const named = (key: PropertyKey) => (fromFile.has(String(key)) ? `${String(key)}_file` : String(key));
    for (const issue of parsed.error.issues) {
      const isSaid = fromFile.has(String(issue.path[0])) && values[String(issue.path[0])] === undefined;
      if (isSaid) continue;
      faults.push(
        ...(issue.code === 'unrecognized_keys'
          ? issue.keys.map((key) => unknownKey(path, named(key), values['type']))
          : [describe(path, issue, named, valueAt(values, issue.path))]),
      );
    }
    return undefined;
  }
  faults.push(...contradictions(parsed.data).map((fault) => `${path}${fault}`));
  return parsed.data;
};

const withSecretFiles = (path: string, raw: Raw, faults: string[]) => {
  const values: Record<string, unknown> = { ...raw };
  const fromFile = new Set<string>();
  for (const key of sinkSecrets) {
    const file = raw[`${key}_file`];
    if (file === undefined) continue;
    delete values[`${key}_file`];
    if (raw[key] !== undefined) faults.push(`${path}.${key} and ${path}.${key}_file are both set: set only one`);
    fromFile.add(key);
    if (typeof file !== 'string') faults.push(`${path}.${key}_file must be the path of a file`);
    // Undefined if the file has a fault, which is then the only one that is shown.
    values[key] = (typeof file === 'string' && readSecretFile(file, `${path}.${key}_file`, faults)) || undefined;
  }
  return { values, fromFile };
};

const valueAt = (values: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key], values);

/** Never shows the value. */
const describe = (
  path: string,
  issue: z.core.$ZodIssue,
  named: (key: PropertyKey) => string,
  value: unknown,
): string => {
  const at = [path, ...issue.path.map(named)].join('.');
  const said = isSentence(issue.message) ? issue.message : undefined;
  switch (issue.code) {
    case 'invalid_union':
      return `${at} must be one of ${sinkTypes.join(', ')}${didYouMean(nearest(String(value), sinkTypes, 1))}`;
    case 'invalid_value':
      return `${at} must be one of ${issue.values.map(String).join(', ')}`;
    case 'invalid_type':
      return value === undefined ? `${at} ${said ?? 'is missing'}` : `${at} must be ${article(issue.expected)}`;
    case 'too_small':
      return issue.origin === 'string' || issue.origin === 'array'
        ? `${at} is empty`
        : `${at} must be at least ${issue.minimum}`;
    case 'too_big':
      return `${at} must be at most ${issue.maximum}`;
    case 'invalid_format':
      return `${at} ${said ?? 'has characters that are not allowed, or is too long'}`;
    default:
      return `${at} ${said ?? 'is not valid'}`;
  }
};

/** Every sink is one flat object: no key stands deeper. */
const unknownKey = (path: string, key: string, type: unknown): string => {
  const kind = sinkTypes.find((each) => each === type);
  const shape = kind === undefined ? {} : sinkKinds[kind].settings.shape;
  const known = [
    ...Object.keys(shape),
    ...sinkSecrets.filter((secret) => secret in shape).map((secret) => `${secret}_file`),
  ];
  return `${path}.${key} is not a setting of this type of sink${didYouMean(nearest(key, known, 1))}`;
};

/** Written by us, to follow the name of the setting; what the library writes may quote a value. */
const isSentence = (message: string): boolean => /^(must|is) /.test(message);
const article = (expected: string): string => (expected === 'int' ? 'an integer' : `a value of type ${expected}`);

/** Each text begins with its place. */
const contradictions = (settings: SinkSettings): string[] => {
  const kind = kindOf(settings);
  const values: Raw = { ...settings };
  const unreadable = kind.files.filter((key) => typeof values[key] === 'string' && !isReadable(values[key]));
  return [
    ...ofStream(settings),
    ...ofCheckpoints(settings),
    ...kind.contradictions(settings),
    ...unreadable.map((key) => `.${key}: the file cannot be read`),
  ];
};

const ofCheckpoints = ({ type, checkpoints, events, format }: SinkSettings): string[] => {
  if (checkpoints !== true) return [];
  if (events !== 'entries') return ['.checkpoints go with entries: use a sink of entries for them'];
  // An object is named by the positions that it has: a record among them would change its bytes.
  if (type === 's3') return ['.checkpoints are not for s3: use ORGTRAIL_EVIDENCE_ANCHORS=s3://… for them'];
  return formats[format].json
    ? []
    : [`.checkpoints sends records in JSON, and the format ${format} is not JSON: use native or another that is`];
};

const ofStream = ({ events, format, min_severity: minSeverity }: SinkSettings): string[] => {
  if (events === 'entries') return minSeverity === undefined ? [] : ['.min_severity is for "events": "detections"'];
  return isFindingFormat(format) ? [] : [`.format must be one of ${findingFormats.join(', ')} for these events`];
};

const isReadable = (file: string): boolean => {
  try {
    accessSync(file, constants.R_OK);
    return true;
  } catch {
    return false;
  }
};

const shared = (sinks: readonly NamedSink[]): string[] =>
  repeatedBy(sinks, ({ settings }) => {
    const own = kindOf(settings).exclusive(settings);
    return own && [settings.type, own.value];
  }).map(([{ name, settings }, first]) => {
    const setting = kindOf(settings).exclusive(settings)?.setting;
    return `${SETTING}.${name}.${setting} is also that of ${SETTING}.${first}`;
  });

export const sinkWarnings = (sinks: readonly NamedSink[]): string[] =>
  sinks.flatMap(({ name, settings }) =>
    kindOf(settings)
      .warnings(settings)
      .map((text) => `${SETTING}.${name}${text}`),
  );
