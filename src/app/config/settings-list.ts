import { OrgtrailError } from '../../base/errors.ts';
import { nearest } from '../../base/text.ts';
import { type Form, type SettingName, settingsList } from './environment-schema.ts';
import { namesWithFile } from './secret-settings.ts';

export const settingNames: readonly SettingName[] = Object.keys(settingsList) as SettingName[];

/** In the YAML file: `api_budget` for ORGTRAIL_API_BUDGET, `cloudflare.api_token` for CLOUDFLARE_API_TOKEN. */
export const keyOf = (name: string): string =>
  name.startsWith('ORGTRAIL_') ? name.slice('ORGTRAIL_'.length).toLowerCase() : name.toLowerCase().replace('_', '.');

export const formOf = (name: string): Form => settingsList[name as SettingName]?.form ?? 'text';

export const settingsByKey: ReadonlyMap<string, string> = new Map(
  [...settingNames, ...namesWithFile.map((name) => `${name}_FILE`)].map((name) => [keyOf(name), name]),
);
export const settingGroups: ReadonlySet<string> = new Set(
  [...settingsByKey.keys()].flatMap((key) => (key.includes('.') ? [key.slice(0, key.indexOf('.'))] : [])),
);

export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** The message holds no secret. */
export interface Fault {
  readonly message: string;
  readonly place?: Place | undefined;
}

/** By the name of a setting, and below it by path: `ORGTRAIL_SINKS.siem.url`. */
export type Places = ReadonlyMap<string, Place>;

export const describePlace = ({ file, line, column }: Place): string => `${file}:${line}:${column}`;

export const describeFault = ({ message, place }: Fault): string =>
  place === undefined ? message : `${describePlace(place)}: ${message}`;

/** First those without a place, then from the top of the file on. */
export const inOrder = (faults: readonly Fault[]): readonly Fault[] =>
  faults.toSorted(
    ({ place: a }, { place: b }) => (a?.line ?? 0) - (b?.line ?? 0) || (a?.column ?? 0) - (b?.column ?? 0),
  );

/** Gives a message that names variables the place of the first that is in the file, and the keys that they have there. */
export const locateFault = (message: string, places: Places): Fault => {
  const paths = [...message.matchAll(NAMES)].map(([path]) => path.split('.'));
  const candidates = paths.flatMap((path) => path.flatMap((_, index) => pathsTo(path.slice(0, path.length - index))));
  const place = candidates.map((candidate) => places.get(candidate)).find((found) => found !== undefined);
  const named = message.replace(NAMES, (path) => {
    const [name = '', ...below] = path.split('.');
    return pathsTo([name]).some((candidate) => places.has(candidate)) ? [keyOf(name), ...below].join('.') : path;
  });
  return { message: named, place };
};

const NAMES = /\b(?:ORGTRAIL|CLOUDFLARE|DATABASE)_[A-Z_]+(?:\.[\w-]+)*/g;

/** A secret that comes from a file has the place at which that file is named. */
const pathsTo = (path: readonly string[]): string[] => [
  path.join('.'),
  `${path.join('.')}_${path.length > 1 ? 'file' : 'FILE'}`,
];

export const configurationError = (faults: readonly string[]): OrgtrailError =>
  new OrgtrailError(
    'configuration',
    `${faults.length === 1 ? 'configuration error' : `${faults.length} configuration errors`}:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`,
    {
      hint: 'settings come from the environment, from .env and from the file of ORGTRAIL_CONFIG; docs/reference/settings.md lists them all',
    },
  );

/** Of deploy/compose, which hands its `.env` on to the daemon. */
const composeSettings = [
  'ORGTRAIL_ANCHOR_DIRECTORY',
  'ORGTRAIL_IMAGE',
  'ORGTRAIL_PORT',
  'ORGTRAIL_SIMULATE',
  'ORGTRAIL_VERSION',
];

const knownSettings: ReadonlySet<string> = new Set([
  'ORGTRAIL_CONFIG',
  ...settingNames,
  ...namesWithFile.map((name) => `${name}_FILE`),
  ...composeSettings,
]);

/** Probably misspellings. Never shows a value. */
export const unknownSettings = (names: readonly string[]): readonly string[] =>
  names
    .filter((name) => name.startsWith('ORGTRAIL_') && !knownSettings.has(name))
    .map((name) => `${name} is not a setting${suggestion(name)}`);

const suggestion = (name: string): string => {
  const setting = name.replace(/_FILE$/, '');
  if (setting !== name && knownSettings.has(setting)) return `: ${setting} cannot be read from a file`;
  const [near] = nearest(name, knownSettings, 1);
  return near === undefined ? ' and is ignored' : `; did you mean ${near}?`;
};
