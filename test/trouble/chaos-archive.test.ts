import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runSeed } from '../../studies/chaos-archive/archive-run.ts';
import { type ArchiveServers, startServers } from '../../studies/chaos-archive/archive-world.ts';
import { storages } from '../support/s3/storages.ts';

const missing = storages.find(({ name }) => name === 'moto')?.missing;

describe.skipIf(missing !== undefined)('an archive whose processes are killed and whose objects are changed', () => {
  let servers: ArchiveServers;
  beforeAll(async () => {
    servers = await startServers();
  });
  afterAll(async () => servers?.[Symbol.asyncDispose]());

  test.each([1, 2, 3, 4])('loses nothing (seed %i)', async (seed) => {
    const { faults, log } = await runSeed(servers, seed);
    expect(faults, log.join('\n')).toEqual([]);
  });
});
