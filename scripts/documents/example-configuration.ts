import { stringify } from 'yaml';
import { type SettingName, settingDefaults, settingsList } from '../../src/app/config/environment-schema.ts';
import { namesWithFile, secretNames } from '../../src/app/config/secret-settings.ts';
import { formOf, keyOf, settingNames } from '../../src/app/config/settings-list.ts';

const head = `# The settings of orgtrail, each with its default or an example. ORGTRAIL_CONFIG names the file; docs/configuration.md explains it.
# A key is the name of the variable in lower case, without ORGTRAIL_; CLOUDFLARE_… and DATABASE_… are groups.
# The environment counts before this file. Take out the # before a key to set it.
`;

/** docs/orgtrail.example.yaml: all settings, commented out. A line of prose begins with "# ", a setting with "#". */
export const exampleConfiguration = (): string => {
  const defaults = settingDefaults();
  let group = '';
  const parts = settingNames.map((name) => {
    const [first = '', ...rest] = keyOf(name).split('.');
    const isFirstOfGroup = rest.length > 0 && first !== group;
    group = first;
    const lines = [...(isFirstOfGroup ? [`${first}:`] : []), ...linesOf(name, defaults[name])];
    return `\n${lines.join('\n')}\n`;
  });
  return head + parts.join('');
};

const linesOf = (name: SettingName, fallback: string | undefined): string[] => {
  const { means, example = '' } = settingsList[name];
  const indent = keyOf(name).includes('.') ? '  ' : '';
  const note = fallback === undefined ? '' : ' This is the default.';
  const value = fallback === undefined ? example : shown(name, fallback);
  const [first = '', ...below] = value.split('\n');
  return [
    `${indent}# ${means}${note}`,
    `${indent}#${lastPart(name)}:${first === '' ? '' : ` ${first}`}`,
    ...below.map((line) => `${indent}#${line}`),
    ...(namesWithFile.some((each) => each === name) ? fileLines(name).map((line) => `${indent}${line}`) : []),
  ];
};

const fileLines = (name: SettingName): string[] => [
  `# The same from a file${name === 'ORGTRAIL_SINKS' ? ' of JSON' : ''}${isSecret(name) ? ', which is read again while orgtrail runs' : ''}:`,
  `#${lastPart(name)}_file: ${isSecret(name) ? '/run/secrets' : '/etc/orgtrail'}/${keyOf(name).replaceAll(/[._]/g, '-')}`,
];

const isSecret = (name: SettingName): boolean => secretNames.some((secret) => secret === name);

const lastPart = (name: string): string => keyOf(name).split('.').at(-1) ?? '';

const shown = (name: SettingName, text: string): string => {
  if (formOf(name) === 'list') return `[${text.replaceAll(',', ', ')}]`;
  return stringify(formOf(name) === 'number' ? Number(text) : text, { lineWidth: 0 }).trimEnd();
};
