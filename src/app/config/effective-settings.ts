import { Document, isScalar, isSeq, type Node } from 'yaml';
import { withPasswordsHidden } from '../../postgres/database-url.ts';
import { type SinkType, sinkKinds, sinkSecrets } from '../../sinks/registry.ts';
import { type ReadConfig, secretsOf } from './config.ts';
import { settingDefaults } from './environment-schema.ts';
import { namesWithFile, secretNames } from './secret-settings.ts';
import { describePlace, formOf, keyOf, type Place, settingNames } from './settings-list.ts';

export interface EffectiveSetting {
  readonly setting: string;
  readonly key: string;
  readonly source: 'default' | 'environment' | '.env' | 'file';
  readonly place?: Place | undefined;
  /** Where the file has it as well, which does not count. */
  readonly overridden?: Place | undefined;
}

type SettingsRead = Pick<ReadConfig, 'settings' | 'file' | 'fromFile'>;

const HIDDEN = '(hidden)';
/** Shorter ones would blank out ordinary words; at their own places they are still hidden. */
const MIN_SECRET = 6;

/** In the order of the documented example; a setting that comes from a file is its NAME_FILE. */
export const effectiveSettings = (read: SettingsRead, dotenv: readonly string[]): readonly EffectiveSetting[] =>
  settingNames.flatMap((name) => {
    const asFile = `${name}_FILE`;
    const mayBeFile = namesWithFile.some((each) => each === name);
    const [first = name, ...others] = [name, ...(mayBeFile ? [asFile] : [])].filter(
      (each) => read.settings[each] !== undefined,
    );
    return [first, ...others].map((setting) => sourceOf(setting, read, dotenv));
  });

const sourceOf = (
  setting: string,
  { settings, file, fromFile }: SettingsRead,
  dotenv: readonly string[],
): EffectiveSetting => {
  const key = keyOf(setting);
  const place = file.places.get(setting);
  if (settings[setting] === undefined) return { setting, key, source: 'default' };
  if (place !== undefined && fromFile.has(setting)) return { setting, key, source: 'file', place };
  const plain = setting.replace(/_FILE$/, '');
  const overridden = file.places.get(plain) ?? file.places.get(`${plain}_FILE`);
  return { setting, key, source: dotenv.includes(setting) ? '.env' : 'environment', ...(overridden && { overridden }) };
};

export const describeSource = ({ source, place, overridden }: EffectiveSetting): string => {
  if (place !== undefined) return describePlace(place);
  return overridden === undefined ? source : `${source}, which overrides ${describePlace(overridden)}`;
};

/** Only for settings without faults. Secrets are hidden; null: not set. */
export const shownSettings = (
  read: ReadConfig,
  dotenv: readonly string[],
): readonly (EffectiveSetting & { readonly value: unknown })[] => {
  const defaults = settingDefaults();
  const secrets = read.config === undefined ? [] : secretsOf(read.config);
  const hidden = secrets.filter(({ length }) => length >= MIN_SECRET);
  return effectiveSettings(read, dotenv).map((effective) => {
    const text = read.settings[effective.setting] ?? defaults[effective.setting];
    return {
      ...effective,
      value: text === undefined ? null : withoutSecrets(naturalValue(effective.setting, text), hidden),
    };
  });
};

const naturalValue = (setting: string, text: string): unknown => {
  if (setting === 'DATABASE_URL') return withPasswordsHidden(text, HIDDEN);
  if (setting === 'ORGTRAIL_SINKS') return shownSinks(JSON.parse(text));
  if (setting === 'CLOUDFLARE_CREDENTIALS') return shownCredentials(JSON.parse(text));
  if (secretNames.some((name) => name === setting)) return HIDDEN;
  switch (formOf(setting)) {
    case 'number':
      return String(Number(text)) === text ? Number(text) : text;
    case 'list':
      return text.trim() === 'none' ? 'none' : text.split(/[\s,]+/).filter((item) => item !== '');
    case 'filters':
      return [...new URLSearchParams(text.trim().replace(/^\?/, ''))].map(([name, value]) => `${name}=${value}`);
    default:
      return text;
  }
};

type Named = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

const shownCredentials = (credentials: Named): unknown =>
  Object.fromEntries(
    Object.entries(credentials).map(([name, credential]) => [name, hiding(credential, ['token', 'key', 'email'])]),
  );

const shownSinks = (sinks: Named): unknown =>
  Object.fromEntries(
    Object.entries(sinks).map(([name, sink]) => {
      const shown = hiding(sink, sinkSecrets);
      const { secretAddresses } = sinkKinds[sink['type'] as SinkType];
      return [
        name,
        { ...shown, ...Object.fromEntries(secretAddresses.map((key) => [key, shownAddress(String(shown[key]))])) },
      ];
    }),
  );

const hiding = (
  values: Readonly<Record<string, unknown>>,
  keys: readonly string[],
): Readonly<Record<string, unknown>> =>
  Object.fromEntries(Object.entries(values).map(([key, value]) => [key, keys.includes(key) ? HIDDEN : value]));

const shownAddress = (text: string): string => {
  const { origin, href } = new URL(text);
  return href === `${origin}/` ? href : `${origin}/${HIDDEN}`;
};

/** Should a secret stand anywhere else, it is hidden there as well. */
const withoutSecrets = (value: unknown, secrets: readonly string[]): unknown => {
  if (typeof value === 'string') return secrets.reduce((text, secret) => text.replaceAll(secret, HIDDEN), value);
  if (Array.isArray(value)) return value.map((item) => withoutSecrets(item, secrets));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withoutSecrets(inner, secrets)]));
};

export const settingsYaml = (
  values: readonly { readonly key: string; readonly value: unknown; readonly comment: string }[],
): string => {
  const document = new Document({});
  for (const { key, value, comment } of values) {
    const node = document.createNode(value) as Node;
    if (isSeq(node)) node.flow = true;
    if (isSeq(node) || isScalar(node)) node.comment = ` ${comment}`;
    else node.commentBefore = ` ${comment}`;
    document.setIn(key.split('.'), node);
  }
  return document.toString({ lineWidth: 0, flowCollectionPadding: false });
};
