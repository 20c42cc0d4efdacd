import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { readConfig } from '../../src/app/config/config.ts';
import { describeFault, settingsByKey } from '../../src/app/config/settings-list.ts';
import { readYamlSettings } from '../../src/app/config/yaml.ts';
import { temporaryFolder } from '../support/process/temporary-folder.ts';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const example = read('docs/orgtrail.example.yaml');
const { file } = temporaryFolder();
const defaults = readConfig({}, { needsCredential: false, interactive: false }).config;
const blocks = example.split('\n\n');

describe('docs/orgtrail.example.yaml', () => {
  test('can be used as it is: it changes nothing', () => {
    const { config, faults } = load(example);
    expect(faults).toEqual([]);
    expect(config).toEqual(defaults);
  });

  test('has every key of the file, and no other', () => {
    const { settings, faults } = readYamlSettings(uncommented(blocks), 'F');
    expect(faults).toEqual([]);
    expect(Object.keys(settings).sort()).toEqual([...settingsByKey.values()].sort());
  });

  test('has the defaults as they are', () => {
    const withDefaults = blocks.filter((block) => block.includes('This is the default.'));
    expect(withDefaults.length).toBeGreaterThan(15);
    const { config, faults } = load(
      uncommented(
        withDefaults.map((block) => block.replace(/^ {2}/gm, '')).filter((block) => !block.includes('base_url')),
      ),
    );
    expect(faults).toEqual([]);
    expect(config).toEqual(defaults);
  });

  test.each(blocks.slice(1).map((block) => [/#(\w+):/.exec(block)?.[1] ?? '', block]))(
    'the example of %s is good',
    (_key, block) => {
      const group = /^ {2}#/m.test(block) && !/^\w/m.test(block) ? 'cloudflare:\n' : '';
      const { faults } = load(`${group}${uncommented([block])}`);
      // The files of secrets are not here, and the secret itself is beside each.
      const others = faults
        .map(describeFault)
        .filter(
          (fault) =>
            !/file cannot be read|are both set|needs CLOUDFLARE_EMAIL|belong together|needs ORGTRAIL_EVIDENCE_(NEXT_)?KEY_FILE/.test(
              fault,
            ),
        );
      expect(others).toEqual([]);
    },
  );
});

describe('docs/configuration.md', () => {
  const examples = [...read('docs/configuration.md').matchAll(/^```yaml\n(.*?)^```/gms)].map(([, text = '']) => text);
  const files = examples.filter((text) => parse(text)?.cloudflare !== undefined);

  test('has examples', () => expect(files.length).toBeGreaterThan(0));

  test.each(files)('%s', (text) => {
    expect(readYamlSettings(text, 'F').faults).toEqual([]);
    const others = load(text)
      .faults.map(describeFault)
      .filter((fault) => !fault.includes('file cannot be read'));
    expect(others).toEqual([]);
  });
});

const load = (text: string) =>
  readConfig({ ORGTRAIL_CONFIG: file('orgtrail.yaml', text) }, { needsCredential: false, interactive: false });

/** With the settings of these blocks in force; prose has a space after its #, and settings have none, or two and more. */
const uncommented = (blocks: readonly string[]): string =>
  blocks.map((block) => block.replaceAll(/^( *)#(?! \S)/gm, '$1')).join('\n\n');
