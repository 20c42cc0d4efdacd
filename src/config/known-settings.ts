import { nearest } from '../text/nearest.ts';
import { namesWithFile } from './secret-settings.ts';
import { settingNames } from './settings-list.ts';

/** Read by deploy/compose, which hands them on to the daemon with the rest of its `.env`. */
const composeSettings = [
  'ORGTRAIL_ANCHOR_DIRECTORY',
  'ORGTRAIL_IMAGE',
  'ORGTRAIL_PORT',
  'ORGTRAIL_SIMULATE',
  'ORGTRAIL_VERSION',
];

/** Every variable that means something to orgtrail or to its deployments. */
const knownSettings: ReadonlySet<string> = new Set([
  'ORGTRAIL_CONFIG',
  ...settingNames,
  ...namesWithFile.map((name) => `${name}_FILE`),
  ...composeSettings,
]);

/** A warning for each variable that begins like a setting and is none: probably a misspelling. Never shows a value. */
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
