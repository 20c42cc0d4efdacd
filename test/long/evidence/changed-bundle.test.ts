import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openFolder, verifyFolder } from '../../../src/evidence/files/folder-reader.ts';
import { openAuditedWorld } from '../../support/evidence/audited-world.ts';
import { BundleRoom, exportTo } from '../../support/evidence/bundles/exported-bundle.ts';
import { mutations, seed } from '../../support/evidence/bundles/judged-alike.ts';
import { mutationOf, numbersOf } from '../../support/evidence/bundles/mutations.ts';
import { hasPython, TwoVerifiers } from '../../support/evidence/bundles/two-verifiers.ts';

// What hashes and signatures alone tell is in both-verifiers.test.ts.
describe.skipIf(!hasPython())(`an exported bundle that was changed, from seed ${seed}`, () => {
  const verifiers = new TwoVerifiers();
  const room = new BundleRoom();
  const folders: string[] = [];
  beforeAll(async () => {
    await using world = await openAuditedWorld(20_261_127);
    for (const isPacked of [false, true]) {
      const folder = room.next();
      await exportTo(world.late.pool, world.signer, folder, { isPacked });
      folders.push(folder);
    }
  });
  afterAll(async () => {
    room[Symbol.dispose]();
    await verifiers.close();
  });

  const filesOf = (folder: string) =>
    new Map(
      readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && entry.name !== 'README.txt')
        .map(({ parentPath, name }) => join(parentPath, name))
        .sort()
        .map((path) => [relative(folder, path), readFileSync(path)] as const),
    );
  const holds = async (folder: string) => [
    (await verifyFolder(await openFolder(folder))).holds,
    (await verifiers.judgeFolder(folder, [])).holds,
  ];

  test(`a bit or a line of any file that README.txt lists is found by both verifiers`, async () => {
    for (const folder of folders) {
      const files = filesOf(folder);
      const next = numbersOf(seed);
      for (let number = 0; number < mutations / 4; number += 1) {
        const mutation = mutationOf(files, next);
        if (mutation === undefined) continue;
        const { path, what, bytes } = mutation;
        writeFileSync(join(folder, path), bytes);
        expect([path, what, ...(await holds(folder))]).toEqual([path, what, false, false]);
        writeFileSync(join(folder, path), files.get(path) ?? '');
      }
      expect(await holds(folder)).toEqual([true, true]);
    }
  });

  test('a file under another name is found by both', async () => {
    const [folder = ''] = folders;
    for (const path of filesOf(folder).keys()) {
      renameSync(join(folder, path), join(folder, `${path}.old`));
      expect([path, ...(await holds(folder))]).toEqual([path, false, false]);
      renameSync(join(folder, `${path}.old`), join(folder, path));
    }
    expect(await holds(folder)).toEqual([true, true]);
  });
});
