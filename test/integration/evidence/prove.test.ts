import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readProvenEvent } from '../../../src/evidence/bundle/records.ts';
import { type EventProof, proveEvents } from '../../../src/evidence/export/prove.sql.ts';
import { verifierFile } from '../../../src/evidence/files/folder-writer.ts';
import { parsePolicy } from '../../../src/evidence/notes/policy.ts';
import { verifyProof } from '../../../src/evidence/verify/verify-found.ts';
import { hasPython } from '../../support/evidence/bundles/two-verifiers.ts';
import { worldOfAllTests } from '../../support/evidence/evidence-world.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import { commit, entryText, newSource, T0 } from '../../support/postgres/store-fixture.ts';

const world = worldOfAllTests(async () => {
  for (const source of ['a', 'b']) {
    const entries = Array.from({ length: 400 }, (_, index) =>
      entryText(`id-${index}`, T0 + index * 1_000, { of: source }),
    );
    await commit(world.pool, await newSource(world.pool, source), entries);
  }
  await world.build();
});
const pool = poolOfTests(world);

test('events at the edges of tiles, named by position or by id, each with a proof that holds', async () => {
  const proofs = await prove([1, 256, 257, 512, 768, 769, 800, 1], ['id-5']);
  expect(proofs.map(({ position }) => position)).toEqual([1, 256, 257, 512, 768, 769, 800, 6, 406]);
  for (const proof of proofs) {
    expect(verify(proof).faults).toEqual([]);
    expect(JSON.parse(proof.json)).toMatchObject({
      position: proof.position,
      source_kind: 'organization',
      defects: [],
    });
  }
  const { raw, raw_sha256: hash } = JSON.parse(proofs[0]?.json ?? '');
  writeFileSync(join(world.room.folder, 'raw'), raw);
  expect(execFileSync('bash', ['-c', 'sha256sum raw'], { cwd: world.room.folder, encoding: 'utf8' })).toContain(hash);
});

test('the proof of one event is not that of another', async () => {
  const [one, other] = (await prove([100, 101])) as [EventProof, EventProof];
  expect(verify({ ...one, tlogProof: other.tlogProof }).faults.map(({ code }) => code)).toEqual(['root', 'leaf']);
  expect(() => readProvenEvent(one.json.replace('id-99', 'id-98'))).toThrow('id is not what the leaf says');
  expect(() => readProvenEvent(one.json.replace('{', '{"more": 1,'))).toThrow('more is not what the leaf says');
  expect(() => readProvenEvent('[')).toThrow('not an object');
});

test.skipIf(!hasPython())('verify.py verifies it as well, and finds what is changed in it', async () => {
  const [one, other] = (await prove([300, 301])) as [EventProof, EventProof];
  const { room } = world;
  const judge = (name: string, { json, tlogProof }: Pick<EventProof, 'json' | 'tlogProof'>, ...args: string[]) => {
    writeFileSync(join(room.folder, `${name}.json`), json);
    writeFileSync(join(room.folder, `${name}.tlog-proof`), tlogProof);
    const file = join(room.folder, `${name}.tlog-proof`);
    const { status, stdout, stderr } = spawnSync('python3', ['-B', verifierFile, '--proof', file, ...args], {
      encoding: 'utf8',
      env: { ...process.env, PYTHONUTF8: '1' },
    });
    return `${status} ${stdout}${stderr}`;
  };
  const holds = judge('300', one);
  expect(holds).toMatch(/^0 /);
  expect(holds).toContain(`Position 300 is in ${one.tlogProof.split('\n').find((line) => line.endsWith('/events'))}`);
  expect(holds).toContain('unanchored');
  expect(judge('300', { ...one, tlogProof: other.tlogProof })).toMatch(
    /^5 [\s\S]*Position 300 is not in the log by this proof/,
  );
  expect(judge('300', { ...one, json: one.json.replace(/"id": "id-[0-9]+"/, '"id": "id-1"') })).toMatch(
    /^5 [\s\S]*id is not what/,
  );
  expect(judge('300', { ...one, json: one.json.replace('someone@', 'another@') })).toMatch(
    /^5 [\s\S]*content is not that/,
  );
  expect(judge('300', { ...one, json: one.json.replace('"position": 300', '"position": 301') })).toMatch(/^5 /);
  expect(judge('300', { ...one, json: '{' })).toMatch(/^5 [\s\S]*or the event beside it/);
  expect(judge('300', { ...one, tlogProof: one.tlogProof.replace(/\n\u2014 [\s\S]*$/, '\n') })).toMatch(/^5 /);
  expect(judge('300', { ...one, tlogProof: '' })).toMatch(/^5 /);
  expect(judge('300', one, '--anchor', verifierFile)).toMatch(/^2 /);
});

test('what was changed, dropped, not signed or never there is not proven', async () => {
  await pool.query(`update audit_events set raw = '{}' where position = 5`);
  await expect(prove([4, 5])).rejects.toMatchObject({ code: 'evidence_fails', message: /event 5 is not in/ });
  await pool.query('delete from audit_events where position = 5');
  await expect(prove([5])).rejects.toThrow('position 5 has no event');
  await expect(prove([801])).rejects.toThrow('position 801 is not signed yet: 800 are');
  await expect(prove([], ['unknown'])).rejects.toThrow('there is no event with the id "unknown"');
  await pool.query(
    `update evidence_tiles set hashes = set_byte(hashes, 40, 1 - least(get_byte(hashes, 40), 1)) where level = 0 and n = 0`,
  );
  await expect(prove([1])).rejects.toMatchObject({ code: 'evidence_fails' });
});

const prove = async (positions: readonly number[], ids: readonly string[] = []): Promise<EventProof[]> => {
  const proofs: EventProof[] = [];
  await proveEvents(pool, { positions, ids, publicKeys: [world.signer.publicKey] }, (proof) => proofs.push(proof));
  return proofs;
};

const verify = ({ json, tlogProof }: EventProof) => {
  const event = readProvenEvent(json);
  return verifyProof(Buffer.from(tlogProof), event, parsePolicy(Buffer.from(event.policy)));
};
