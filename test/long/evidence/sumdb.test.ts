import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, describe, expect, test } from 'vitest';
import { vkeysOf } from '../../../src/evidence/builder/signing-keys.ts';
import { createServedStore } from '../../../src/evidence/served-store.sql.ts';
import { newSigner } from '../../support/evidence/builder-world.ts';
import { worldOfAllTests } from '../../support/evidence/evidence-world.ts';
import { type EvidenceServer, serveEvidence } from '../../support/evidence/serve-evidence.ts';

/** Of Debian's golang-golang-x-mod-dev: scripts/install/deploy-tools.sh. */
const GOPATH = '/usr/share/gocode';
const source = fileURLToPath(new URL('sumdb/main.go', import.meta.url));
const run = promisify(execFile);
const hasGo = await run('go', ['version']).then(
  () => true,
  () => false,
);
const missing = !hasGo
  ? 'there is no go'
  : existsSync(join(GOPATH, 'src/golang.org/x/mod/sumdb/tlog'))
    ? undefined
    : 'there is no golang.org/x/mod (golang-golang-x-mod-dev of Debian)';
if (missing !== undefined) console.warn(`The log is not read with golang.org/x/mod/sumdb: ${missing}.`);

describe.skipIf(missing !== undefined)('golang.org/x/mod/sumdb', () => {
  let server: EvidenceServer;
  let folder: string;
  let reader: string;

  const world = worldOfAllTests(async ({ pool }) => {
    server = await serveEvidence(createServedStore(pool));
    folder = await mkdtemp(join(tmpdir(), 'orgtrail-sumdb-'));
    reader = join(folder, 'reader');
    // As Debian packages are built: without modules, and without the network.
    const env = {
      ...process.env,
      GO111MODULE: 'off',
      GOPATH,
      GOFLAGS: '',
      GOCACHE: join(tmpdir(), 'orgtrail-go-cache'),
    };
    await run('go', ['build', '-o', reader, source], { env });
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  test('reads both logs over HTTP, every record, and proves that they go on; another past is refused', async () => {
    const { pool } = world;
    const { build, signed } = world.open();
    await world.addEvents(900, 'one');
    await build();
    const old = signed.find(({ log }) => log === 'events');
    if (old === undefined) throw new Error('nothing is signed');
    await writeFile(join(folder, 'old'), old.note);
    await world.addEvents(1_000, 'two');
    await world.addEvents(123, 'three');
    await build();
    const last = signed.at(-1);
    const origins = ['events', 'journal'].map((log) => old.origin.replace(/events$/, log));
    const [vkey = '', journalVkey = ''] = vkeysOf(origins, world.signer);
    const url = (log: string) => `${server.url}/${old.origin.replace(/^[^/]+\//, '').replace(/events$/, log)}`;
    const events = await run(reader, [url('events'), vkey, join(folder, 'old')]);
    expect(events.stdout).toBe('2023 records\nits proof\ngoes on from 900\n');
    expect((await run(reader, [url('journal'), journalVkey])).stdout).toBe('2 records\n');
    expect(last?.size).toBe(2_023);

    const [otherVkey = ''] = vkeysOf(origins, newSigner());
    await expect(run(reader, [url('events'), otherVkey])).rejects.toThrow('note has no verifiable signatures');
    await pool.query(`update evidence_tiles set hashes = set_byte(hashes, 1000, get_byte(hashes, 1000) # 1)
      where log = 'events' and level = 0 and n = 1`);
    await expect(run(reader, [url('events'), vkey])).rejects.toThrow(/downloaded inconsistent tile|500 Internal/);
  });
});
