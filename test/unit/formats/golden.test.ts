import { expect, test } from 'vitest';
import { type FormatName, formats } from '../../../src/formats/formats.ts';
import { sampleEvents } from './sample-events.ts';

test.each(Object.keys(formats) as FormatName[])('%s is as in its golden file', async (name) => {
  const { format, fileExtension } = formats[name];
  const lines = sampleEvents.map((event) => `${format(event)}\n`).join('');
  await expect(lines).toMatchFileSnapshot(`golden/${name}${fileExtension}`);
});
