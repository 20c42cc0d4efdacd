import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Delivery, Sink } from '../../../src/sinks/delivery.ts';
import { createFileSink } from '../../../src/sinks/kinds/file.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';
import { outgoingEvents } from '../../support/sinks/syslog-events.ts';

const { folder } = temporaryFolder();
const never = new AbortController().signal;

describe('the file', () => {
  test('has a line for each event, in order, and is for its owner alone', async () => {
    const path = join(await newDirectory('plain'), 'a.ndjson');
    const sink = createFileSink({ path, max_bytes: large });
    expect(await deliver(sink, deliveryOf(1, 3))).toEqual(delivered);
    expect(await deliver(sink, deliveryOf(4, 5))).toEqual(delivered);
    await sink.close();
    expect(await readFile(path, 'utf8')).toBe(linesOf(1, 5));
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  test.each([
    ['a few bytes', '{"n":3'],
    ['more than is looked at at once', 'x'.repeat(200_000)],
    ['nothing', ''],
  ])('a last line that was not ended is cut off, and no other: %s', async (_, part) => {
    const path = join(folder, `part-${part.length}.ndjson`);
    await writeFile(path, `${linesOf(1, 2)}${part}`);
    const sink = createFileSink({ path, max_bytes: large });
    expect(await deliver(sink, deliveryOf(3, 4))).toEqual(delivered);
    await sink.close();
    expect(await readFile(path, 'utf8')).toBe(linesOf(1, 4));
  });

  test('with nothing but a part of a line is emptied', async () => {
    const path = join(folder, 'only-part.ndjson');
    await writeFile(path, 'x'.repeat(70_000));
    const sink = createFileSink({ path, max_bytes: large });
    await deliver(sink, deliveryOf(1, 1));
    await sink.close();
    expect(await readFile(path, 'utf8')).toBe(linesOf(1, 1));
  });

  test.each([
    ['moved away', (path: string) => rename(path, `${path}.1`)],
    ['deleted', (path: string) => rm(path)],
    [
      'moved away, with another in its place',
      async (path: string) => {
        await rename(path, `${path}.2`);
        await writeFile(path, '');
      },
    ],
  ])('%s by another program: the next delivery is at its path', async (what, disturb) => {
    const path = join(await newDirectory(what.replaceAll(' ', '-')), 'a.ndjson');
    const sink = createFileSink({ path, max_bytes: large });
    await deliver(sink, deliveryOf(1, 2));
    await disturb(path);
    expect(await deliver(sink, deliveryOf(3, 4))).toEqual(delivered);
    await sink.close();
    expect(await readFile(path, 'utf8')).toBe(linesOf(3, 4));
  });
});

describe('at its size', () => {
  test('the file is put aside under the time and its last position, and all of it is there', async () => {
    const directory = await newDirectory('rotated');
    const path = join(directory, 'audit.log.ndjson');
    const sink = createFileSink({ path, max_bytes: 1_024 });
    for (let from = 1; from <= 600; from += 50)
      expect(await deliver(sink, deliveryOf(from, from + 49))).toEqual(delivered);
    await sink.close();
    const names = (await readdir(directory)).sort();
    const aside = names.filter((name) => /^audit\.log-\d{8}T\d{9}Z-\d+\.ndjson$/.test(name));
    expect(aside.length).toBeGreaterThanOrEqual(3);
    const rest = names.includes('audit.log.ndjson') ? [path] : [];
    const paths = [...aside.map((name) => join(directory, name)), ...rest];
    const texts = await Promise.all(paths.map((each) => readFile(each, 'utf8')));
    expect(texts.join('')).toBe(linesOf(1, 600));
    for (const [index, name] of aside.entries()) {
      const lastPosition = Number(/-(\d+)\.ndjson$/.exec(name)?.[1]);
      expect(texts[index]?.endsWith(linesOf(lastPosition, lastPosition))).toBe(true);
    }
  });

  test('so many are kept, and nothing that is not its own is removed', async () => {
    const directory = await newDirectory('kept');
    const path = join(directory, 'a.ndjson');
    const others = ['a-1.ndjson', 'b-20260101T000000000Z-5.ndjson', 'a-20260101T000000000Z-5.ndjson.gz', 'a-x.ndjson'];
    for (const name of others) await writeFile(join(directory, name), 'keep me');
    await writeFile(join(directory, 'a-20200101T000000000Z-9.ndjson'), 'the oldest of its own');
    const sink = createFileSink({ path, max_bytes: 1_024, keep: 2 });
    for (let from = 1; from <= 1_000; from += 200) await deliver(sink, deliveryOf(from, from + 199));
    await sink.close();
    const names = await readdir(directory);
    expect(names).toEqual(expect.arrayContaining(others));
    const own = names.filter((name) => !others.includes(name)).sort();
    expect(own.map((name) => Number(/-(\d+)\.ndjson$/.exec(name)?.[1]))).toEqual([800, 1_000]);
  });

  test('a file that was full at the start is put aside with what comes next', async () => {
    const directory = await newDirectory('full-at-start');
    const path = join(directory, 'a.ndjson');
    await writeFile(path, linesOf(1, 500));
    const sink = createFileSink({ path, max_bytes: 1_024 });
    await deliver(sink, deliveryOf(501, 502));
    await sink.close();
    const [name = ''] = await readdir(directory);
    expect(name).toMatch(/^a-.*-502\.ndjson$/);
    expect(await readFile(join(directory, name), 'utf8')).toBe(linesOf(1, 502));
  });
});

describe('what cannot be written', () => {
  test.each<[string, () => Promise<string>, RegExp]>([
    ['there is no directory', async () => join(folder, 'none/a'), /^the directory does not exist \(ENOENT\)$/],
    ['the path is a directory', async () => folder, /^it is a directory \(EISDIR\)$/],
    [
      'the path goes through a file',
      async () => {
        await writeFile(join(folder, 'a-file'), '');
        return join(folder, 'a-file', 'x');
      },
      /^the directory does not exist \(ENOTDIR\)$/,
    ],
  ])('fails and says why: %s', async (_, pathOf, reason) => {
    const sink = createFileSink({ path: await pathOf(), max_bytes: large });
    const outcome = await deliver(sink, deliveryOf(1, 1));
    expect(outcome).toMatchObject({ kind: 'failed', reason: expect.stringMatching(reason) });
    await sink.close();
  });

  test.runIf(process.platform === 'linux')('fails and says why: the path is that of a device', async () => {
    const sink = createFileSink({ path: '/dev/full', max_bytes: large });
    expect(await deliver(sink, deliveryOf(1, 1))).toMatchObject({
      kind: 'failed',
      reason: expect.stringContaining('is not a regular file'),
    });
  });
});

/** A directory of its own for one test. */
const newDirectory = async (name: string): Promise<string> => {
  const directory = join(folder, name);
  await mkdir(directory);
  return directory;
};

const deliveryOf = (from: number, to: number, text = (position: number) => `{"n":${position}}`): Delivery => ({
  id: `d-${from}`,
  events: outgoingEvents(to - from + 1, { firstPosition: from, textLength: 10 }).map((each) => ({
    ...each,
    text: text(each.event.position),
  })),
});

const deliver = (sink: Sink, delivery: Delivery) => sink.deliver(delivery, never);

const delivered = { kind: 'delivered', refused: [] };

const linesOf = (from: number, to: number) =>
  deliveryOf(from, to)
    .events.map(({ text }) => `${text}\n`)
    .join('');

const large = 100_000_000;
