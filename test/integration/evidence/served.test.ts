import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readEventLeaf } from '../../../src/evidence/leaf.ts';
import { parseTlogProof } from '../../../src/evidence/notes/checkpoint.ts';
import { openCheckpoint, parsePolicy } from '../../../src/evidence/notes/policy.ts';
import { createServedStore } from '../../../src/evidence/served-store.sql.ts';
import { entryBundlePath, readEntryBundle, tilePath, tilesOfLevel } from '../../../src/evidence/tree/tiles.ts';
import { createLogin } from '../../support/accounts/login.ts';
import { fork } from '../../support/evidence/builder-world.ts';
import { type EvidenceWorld, worldOfAllTests, worldOfEachTest } from '../../support/evidence/evidence-world.ts';
import { naiveInclusion, naiveLeaf, naiveRoot } from '../../support/evidence/naive-tree.ts';
import { type EvidenceServer, serveEvidence } from '../../support/evidence/serve-evidence.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';

let server: EvidenceServer;
/** `/evidence/….1` */
let base: string;
const serve = async ({ pool }: EvidenceWorld) => {
  server = await serveEvidence(createServedStore(pool));
  const { rows } = await pool.query<{ id: string }>('select feed_id::text as id from feed_head');
  base = `/evidence/${rows[0]?.id}.1`;
};

describe('what is served of a log', () => {
  const world = worldOfAllTests(async () => {
    await world.addEvents(700, 'one');
    await world.build();
    await serve(world);
  });
  const pool = poolOfTests(world);
  afterAll(() => server?.[Symbol.asyncDispose]());

  test('is all that a reader needs who knows RFC 6962 and nothing else', async () => {
    const { checkpoint, leaves } = await readLog('events');
    const journal = await readLog('journal');
    expect(checkpoint.size).toBe(700);
    expect(journal.leaves.map((leaf) => JSON.parse(leaf.toString().split('\n')[1] ?? '').type)).toEqual([
      'genesis',
      'source',
    ]);
    expect(readEventLeaf(leaves[41] ?? Buffer.alloc(0))).toMatchObject({ position: 42, id: 'one-41' });
    const upper = await found(`${base}/events/tile/1/000.p/2`);
    const hashes = leaves.map(naiveLeaf);
    expect(upper).toEqual(Buffer.concat([0, 1].map((n) => naiveRoot(hashes.slice(256 * n, 256 * (n + 1))))));
    for (const position of [1, 256, 257, 512, 699, 700]) {
      const proof = parseTlogProof(await found(`${base}/events/proof?position=${position}`));
      expect(proof.index).toBe(position - 1);
      expect(proof.hashes).toEqual(naiveInclusion(position - 1, hashes));
      expect(Buffer.from(proof.checkpoint)).toEqual(await found(`${base}/events/checkpoint`));
    }
  });

  test('says how long it may be kept, and what it is', async () => {
    const headersOf = async (path: string) => {
      const { headers } = await server.get(path);
      return [headers.get('content-type'), headers.get('cache-control'), headers.get('content-disposition')];
    };
    const kept = ['application/octet-stream', 'private, max-age=31536000, immutable', null];
    expect(await headersOf(`${base}/events/tile/0/000`)).toEqual(kept);
    expect(await headersOf(`${base}/events/tile/0/002.p/188`)).toEqual(kept);
    expect(await headersOf(`${base}/events/tile/entries/000`)).toEqual(['application/octet-stream', 'no-store', null]);
    const text = 'text/plain; charset=utf-8';
    expect(await headersOf(`${base}/events/checkpoint`)).toEqual([text, 'no-store', null]);
    expect(await headersOf(`${base}/events/proof?position=7`)).toEqual([
      text,
      'no-store',
      'attachment; filename="7.tlog-proof"',
    ]);
  });

  test('a tile that is none, a log that is none, and a proof of nothing are not served', async () => {
    for (const [what, path, code] of [
      ['a tile by another path', '/events/tile/0/0', 404],
      ['a tile of more hashes than there are', '/events/tile/0/000.p/257', 404],
      ['a level that no tree has', '/events/tile/64/000', 404],
      ['entries of another log', '/entries/tile/0/000.p/1', 400],
      ['a proof of nothing', '/events/proof', 400],
      ['a proof of position 0', '/events/proof?position=0', 400],
      ['a proof of a statement', '/journal/proof?position=1', 404],
    ] as const)
      expect((await server.get(`${base}${path}`)).code, what).toBe(code);
  });

  test('a log of another feed or generation', async () => {
    await found(`${base}/events/checkpoint`);
    expect((await server.get(`${base.replace(/1$/, '3')}/events/checkpoint`)).code).toBe(404);
    expect(
      (await server.get(`/evidence/${'0'.repeat(8)}-0000-0000-0000-${'0'.repeat(12)}.1/events/checkpoint`)).code,
    ).toBe(404);
    expect((await server.get('/evidence/x.1/events/checkpoint')).code).toBe(400);
  });

  test('anything without the token, without evidence, or by an account without the role', async () => {
    await using guarded = await serveEvidence(createServedStore(pool), 'a-token-of-the-feed');
    for (const path of [
      '/evidence/policy',
      `${base}/events/checkpoint`,
      `${base}/events/tile/0/000`,
      `${base}/events/proof?position=1`,
    ]) {
      expect((await guarded.get(path)).code).toBe(401);
    }
    expect((await guarded.get('/evidence/policy', 'a-token-of-the-feed')).code).toBe(200);
    await using without = await serveEvidence(undefined);
    expect((await without.get('/evidence/policy')).code).toBe(404);
    await using login = await createLogin(world.database, ['orgtrail_ingest']);
    await using refused = await serveEvidence(createServedStore(login.pool));
    const { code, body } = await refused.get(`${base}/events/checkpoint`);
    expect([code, JSON.parse(String(body)).reason]).toEqual([
      503,
      'the database account may not read the evidence: it needs the role orgtrail_evidence',
    ]);
  });

  test('is that of each generation, under its own name', async () => {
    await world.stop();
    await fork(pool, world.signer);
    const next = base.replace(/1$/, '2');
    expect((await server.get(`${next}/events/checkpoint`)).code).toBe(404);
    await world.addEvents(20, 'two');
    await world.build();
    const [first, second] = [await readLog('events'), await readLog('events', next)];
    expect([first.checkpoint.size, second.checkpoint.size]).toEqual([700, 720]);
    expect(second.leaves.slice(0, 700)).toEqual(first.leaves);
  });

  test('is never what was changed', async () => {
    await pool.query(`update audit_events set raw = '{"changed": true}' where position = 5`);
    expect((await server.get(`${base}/events/tile/entries/000.p/10`)).code).toBe(500);
    expect(await found(`${base}/events/tile/entries/000.p/4`)).not.toHaveLength(0);
  });
});

describe('what is served while a log grows', () => {
  const world = worldOfEachTest();
  beforeEach(() => serve(world));
  afterEach(() => server?.[Symbol.asyncDispose]());

  test('is only what is signed', async () => {
    const { builder, build, claim } = world.open({ chunk: 100 });
    expect((await server.get(`${base}/events/checkpoint`)).code).toBe(404);
    expect((await server.get('/evidence/policy')).code).toBe(404);
    await world.addEvents(150, 'one');
    await build();
    await world.addEvents(300, 'two');
    const held = await claim();
    if (held === undefined) throw new Error('another one has the lease');
    expect(await builder.step(held, false)).toMatchObject({ kind: 'more', size: 250 });
    expect((await readLog('events')).checkpoint.size).toBe(150);
    const codeOf = async (path: string) => (await server.get(`${base}/events/${path}`)).code;
    expect(await codeOf('tile/0/000.p/151')).toBe(404);
    expect(await codeOf('tile/entries/000.p/151')).toBe(404);
    expect(await codeOf('tile/0/000')).toBe(404);
    expect(await codeOf('proof?position=151')).toBe(404);
    expect(await codeOf('tile/0/000.p/149')).toBe(200);
    await build(held);
    expect(await codeOf('tile/0/000')).toBe(200);
  });

  test('has the hashes of leaves that were dropped, and says that their data is gone; holes have theirs', async () => {
    await world.allowDrops();
    await world.addEvents(10, 'before there was a log', { fromMs: Date.UTC(2025, 0, 5) });
    expect(await world.drop('2025-01')).toBeNull();
    await world.addEvents(290, 'dropped', { fromMs: Date.UTC(2025, 1, 5) });
    await world.addEvents(300, 'kept');
    const { build } = world.open();
    await build();
    const { leaves } = await readLog('events');
    expect(leaves[9]?.toString('latin1')).toMatch(/^orgtrail\/hole\/v1\n/);
    expect(await world.drop('2025-02')).toBeNull();
    await build();
    for (const gone of ['000', '001']) {
      const { code, body } = await server.get(`${base}/events/tile/entries/${gone}`);
      expect([code, JSON.parse(String(body)).status]).toEqual([410, 'gone']);
    }
    expect(readEntryBundle(await found(`${base}/events/tile/entries/002.p/88`))).toEqual(leaves.slice(512));
    expect(await found(`${base}/events/tile/0/000`)).toEqual(Buffer.concat(leaves.slice(0, 256).map(naiveLeaf)));
    const proof = parseTlogProof(await found(`${base}/events/proof?position=100`));
    expect(proof.hashes).toEqual(naiveInclusion(99, leaves.map(naiveLeaf)));
  });
});

const found = async (path: string): Promise<Buffer> => {
  const { code, body } = await server.get(path);
  expect(`${code} ${path}`).toBe(`200 ${path}`);
  return body;
};

/** As an auditor reads a log: by its address and the policy alone. */
const readLog = async (log: 'events' | 'journal', of = base) => {
  const policy = parsePolicy(await found('/evidence/policy'));
  const checkpoint = openCheckpoint(await found(`${of}/${log}/checkpoint`), policy);
  const leaves: Buffer[] = [];
  for (const tile of tilesOfLevel(checkpoint.size, 0)) {
    const bundle = readEntryBundle(await found(`${of}/${log}/${entryBundlePath(tile)}`));
    const hashes = await found(`${of}/${log}/${tilePath(tile)}`);
    expect(Buffer.concat(bundle.map(naiveLeaf))).toEqual(hashes);
    leaves.push(...bundle);
  }
  expect(leaves).toHaveLength(checkpoint.size);
  expect(naiveRoot(leaves.map(naiveLeaf))).toEqual(checkpoint.root);
  return { checkpoint, leaves };
};
