import { Command } from 'commander';
import { configWithoutFaults, type ReadConfig, readConfig } from '../../app/config/config.ts';
import {
  describeSource,
  type EffectiveSetting,
  effectiveSettings,
  settingsYaml,
  shownSettings,
} from '../../app/config/effective-settings.ts';
import { describeFault } from '../../app/config/settings-list.ts';
import { exitCodes } from '../../base/errors.ts';
import { alignColumns, withoutControls } from '../../base/text.ts';
import type { CliContext } from '../command.ts';

const help = `
Neither needs a database or Cloudflare. Settings come from the environment, then from .env, then from the YAML file that
ORGTRAIL_CONFIG names, then from the defaults: the first one that has a setting wins. docs/configuration.md has all of it.

Examples:
  $ orgtrail config check --file /etc/orgtrail/orgtrail.yaml
  $ ORGTRAIL_CONFIG=/etc/orgtrail/orgtrail.yaml orgtrail config print`;

const checkHelp = `
Exit code 0 if \`orgtrail run\` would accept the settings, else 2. All errors are shown at once, those of the file with line and column.
Reads the files of secrets that are named. \`orgtrail check\` tries the credential and the database as well.

Examples:
  $ orgtrail config check --file orgtrail.yaml
  $ orgtrail config check --json | jq -r '.faults[].message'`;

const printHelp = `
Prints YAML that works as the file of ORGTRAIL_CONFIG once you replace each (hidden) with its secret. The comment after each
value names its origin.

Examples:
  $ orgtrail config print --file orgtrail.yaml
  $ orgtrail config print --json | jq '.settings[] | select(.source != "default")'`;

type ConfigOptions = Readonly<{ file?: string; json?: boolean }>;

export const configCommand = (context: CliContext, report: (code: number) => void): Command =>
  new Command('config')
    .description('Check or print the settings, without a database or Cloudflare')
    .addHelpText('after', help)
    .addCommand(checkCommand(context, report))
    .addCommand(printCommand(context));

const fileOption = ['--file <path>', 'the YAML file, in place of that of ORGTRAIL_CONFIG'] as const;

const checkCommand = (context: CliContext, report: (code: number) => void): Command =>
  new Command('check')
    .description('Report errors in the settings, and the origin of each setting')
    .option(...fileOption)
    .option('--json', 'print JSON')
    .addHelpText('after', checkHelp)
    .action((options: ConfigOptions) => {
      const read = readConfig(environmentOf(context, options), { needsCredential: true, interactive: false });
      const all = effectiveSettings(read, context.namesOfFile ?? []);
      const settings = all.filter(({ source }) => source !== 'default');
      report(read.config === undefined ? exitCodes.usage : exitCodes.done);
      const text = options.json === true ? checkJson(read, settings) : checkText(read, settings);
      context.stdout.write(withoutControls(text));
    });

const printCommand = (context: CliContext): Command =>
  new Command('print')
    .description('Print the effective settings as YAML, with the origin of each; secrets are hidden')
    .option(...fileOption)
    .option('--json', 'print JSON')
    .addHelpText('after', printHelp)
    .action((options: ConfigOptions) => {
      const read = readConfig(environmentOf(context, options), { needsCredential: false, interactive: false });
      configWithoutFaults(read);
      const settings = shownSettings(read, context.namesOfFile ?? []);
      const text =
        options.json === true
          ? `${JSON.stringify({ settings }, null, 2)}\n`
          : settingsYaml(settings.map((each) => ({ ...each, comment: describeSource(each) })));
      context.stdout.write(withoutControls(text));
    });

const environmentOf = ({ env }: CliContext, { file }: ConfigOptions): CliContext['env'] =>
  file === undefined ? env : { ...env, ORGTRAIL_CONFIG: file };

const checkJson = ({ config, faults, file }: ReadConfig, settings: readonly EffectiveSetting[]): string => {
  const found = faults.map(({ message, place }) => ({ message, ...place }));
  const answer = {
    ok: config !== undefined,
    file: file.file ?? null,
    faults: found,
    notes: config?.warnings ?? [],
    settings,
  };
  return `${JSON.stringify(answer, null, 2)}\n`;
};

const checkText = ({ config, faults }: ReadConfig, settings: readonly EffectiveSetting[]): string =>
  [
    ...faults.map((fault) => `FAIL  ${describeFault(fault)}`),
    ...(config === undefined ? [] : [`ok    ${settings.length === 0 ? 'all defaults' : 'the settings are valid'}`]),
    ...(config?.warnings ?? []).map((warning) => `note  ${warning}`),
    ...alignColumns(
      settings.map((each) => [each.source === 'file' ? each.key : each.setting, `from ${describeSource(each)}`]),
    ).map((line) => `      ${line}`),
    '',
  ].join('\n');
