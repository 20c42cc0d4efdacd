import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { unknownSettings } from '../../../src/config/known-settings.ts';

it.each([
  ['ORGTRAIL_HISTORI', 'ORGTRAIL_HISTORI is not a setting; did you mean ORGTRAIL_HISTORY?'],
  ['ORGTRAIL_CONCURENCY', 'ORGTRAIL_CONCURENCY is not a setting; did you mean ORGTRAIL_CONCURRENCY?'],
  ['ORGTRAIL_FEED_TOKEN_FILES', 'ORGTRAIL_FEED_TOKEN_FILES is not a setting; did you mean ORGTRAIL_FEED_TOKEN_FILE?'],
  [
    'ORGTRAIL_HTTP_PORT_FILE',
    'ORGTRAIL_HTTP_PORT_FILE is not a setting: ORGTRAIL_HTTP_PORT cannot be read from a file',
  ],
  ['ORGTRAIL_SOMETHING_ELSE', 'ORGTRAIL_SOMETHING_ELSE is not a setting and is ignored'],
])('unknownSettings %s: %s', (name, warning) => expect(unknownSettings([name])).toEqual([warning]));

it('unknownSettings leaves the variables of others alone', () =>
  expect(unknownSettings(['PATH', 'CLOUDFLARE_ACCOUNT_ID', 'ORGTRAIL', 'MY_ORGTRAIL_X'])).toEqual([]));

it('unknownSettings knows every variable that the code, the documents and the deployments name', () => {
  const files = execFileSync('git', ['ls-files', 'src', 'docs', 'deploy', 'README.md', 'Dockerfile'], {
    encoding: 'utf8',
  });
  const texts = files
    .split('\n')
    .filter((file) => /\.(ts|md|ya?ml|env|example|service|sh)$|Dockerfile$/.test(file))
    .map((file) => readFileSync(file, 'utf8'));
  const names = new Set(texts.flatMap((text) => text.match(/\bORGTRAIL_[A-Z][A-Z_]*[A-Z]\b/g) ?? []));
  expect(names.size).toBeGreaterThan(20);
  expect(unknownSettings([...names])).toEqual([]);
});
