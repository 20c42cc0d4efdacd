import { expect, test } from 'vitest';
import { findWords, readStyle } from '../../../scripts/documents/words.ts';

const page = `# Words

| not | but |
|---|---|
| nobody, whoever | the actor |
| for ever | permanently |

Left alone: \`'nobody'\`, \`\` \`nobody\` \`\` (an account). A line with \`words: allow\` is skipped.
`;
const style = readStyle(page);

test('each word of the table is found with its line, and with what to write instead', () =>
  expect(findWords(style, 'Nobody waits.\nIt runs for ever.\n')).toEqual([
    { line: 1, word: 'nobody', instead: 'the actor' },
    { line: 2, word: 'for ever', instead: 'permanently' },
  ]));

test('a phrase is found across lines of a comment', () =>
  expect(findWords(style, '/**\n * It runs for\n * ever.\n */\n// for\n// ever')).toEqual([
    { line: 2, word: 'for ever', instead: 'permanently' },
    { line: 5, word: 'for ever', instead: 'permanently' },
  ]));

test('allowed texts, marked lines, identifiers and parts of words are left alone', () =>
  expect(findWords(style, "run as 'nobody' or `nobody`\nwhoever // words: allow\nnobodyElse noBody forever")).toEqual(
    [],
  ));

test('a page without a list is an error', () => expect(() => readStyle('# Words')).toThrow('no list of words'));
