import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { detectionRules } from '../../src/findings/rules.ts';

const docs = readFileSync(new URL('../../docs/detections.md', import.meta.url), 'utf8');

test('docs/detections.md and the console say the same of each detection, in the same order', () => {
  const rows = docs.split('\n').filter((line) => /^\| .*\| `detection_\w+` \|/.test(line));
  const described = rows.map((line) => {
    const [what = '', view = '', rule = '', severity = '', alsoFinds = ''] = line
      .replace(/^\| | \|$/g, '')
      .split(' | ');
    return {
      name: plain(view).replace('detection_', ''),
      severity: plain(severity),
      what: plain(what),
      alsoFinds: plain(alsoFinds),
      sigma: /\.\.\/(deploy\/sigma\/[\w.]+)/.exec(rule)?.[1],
    };
  });
  expect(detectionRules).toEqual(described);
  for (const { sigma } of detectionRules) {
    if (sigma !== undefined) expect(existsSync(new URL(`../../${sigma}`, import.meta.url)), sigma).toBe(true);
  }
});

/** Without marks of emphasis and of code. */
const plain = (text: string): string => text.replace(/\*\*|`/g, '').trim();
