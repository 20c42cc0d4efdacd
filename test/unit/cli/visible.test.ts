import { expect, test } from 'vitest';
import { visible } from '../../../src/cli/mcp/answer.ts';

test('what no person sees is shown to a model by its number', () => {
  for (const code of [0x200b, 0x202e, 0xfe01, 0xe0100, 0x3164, 0x115f, 0xffa0, 0x34f, 0x180b, 0x17b4, 0x2800]) {
    expect(visible(`a${String.fromCodePoint(code)}b`)).toBe(`a\\u{${code.toString(16)}}b`);
  }
  expect(visible('café 日本 😀 –')).toBe('café 日本 😀 –');
});
