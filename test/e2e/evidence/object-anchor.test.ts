import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { openSigningWorld } from '../../support/evidence/signing-world.ts';
import { freePorts } from '../../support/network/free-ports.ts';
import { ofEachTest } from '../../support/process/of-tests.ts';
import { runOrgtrail } from '../../support/process/orgtrail-process.ts';
import { type RunningDaemon, startDaemonProcess } from '../../support/process/running-daemon.ts';
import { until } from '../../support/process/until.ts';
import { type Storage, storages, testBucket } from '../../support/s3/storages.ts';

const [moto] = storages;
if (moto === undefined) throw new Error('there is no storage');

const signing = ofEachTest(() => openSigningWorld({ organizations: 2, entries: 300 }));
let storage: Storage | undefined;
afterEach(async () => {
  await storage?.stop();
  storage = undefined;
});

describe.skipIf(moto.missing !== undefined)('a daemon with a bucket as its anchor', () => {
  test('signs while the storage is away, anchors once it is there, goes on through its restart, and says how it stands; a sink gets the checkpoints', async () => {
    const [port = 0] = await freePorts(1);
    const endpoint = encodeURIComponent(`http://127.0.0.1:${port}`);
    const { world, folder } = signing;
    const events = join(folder, 'events.ndjson');
    const env = {
      ...signing.env,
      ORGTRAIL_EVIDENCE_S3_ACCESS_KEY: 'key',
      ORGTRAIL_EVIDENCE_S3_SECRET_KEY: 'secret',
      ORGTRAIL_EVIDENCE_ANCHORS: `s3://evidence/prefix?endpoint=${endpoint}&lock=400d`,
    };
    const startStorage = async () => {
      storage = await moto.start(port);
      return await testBucket(storage, 'evidence', { canLock: true });
    };
    await runOrgtrail(['evidence', 'init'], env);

    const first = await startDaemonProcess(env);
    await signing.untilSigned();
    await first.process.waitFor('evidence anchor failed');
    await untilShown(first, /^orgtrail_evidence_unanchored 1$/m);
    const bucket = await startStorage();
    await first.process.waitFor('evidence checkpoint anchored');
    await untilShown(first, /^orgtrail_evidence_unanchored 0$/m);
    const { keys } = await bucket.list({ folder: 'log-1/checkpoints' });
    const kept = await bucket.get(keys.at(-1) ?? '');
    expect(kept?.bytes.toString()).toMatch(/^audit\.example\.com\/evidence\/\S+\.1\n/);
    expect(kept?.lockedUntil).toBeDefined();
    await bucket.close();
    expect(await first.stop()).toBe(143);
    // Away again: the log is signed on, and keeps what it was anchored by.
    await storage?.stop();
    signing.grow(20);
    const sinks = JSON.stringify({ siem: { type: 'file', path: events, checkpoints: true } });
    await using second = await startDaemonProcess({ ...env, ORGTRAIL_SINKS: sinks });
    await second.process.waitFor('evidence anchor failed');
    await signing.untilSigned();
    const anchors = async () => (await second.health()).evidence.anchors;
    await until('health has the reason', async () => (await anchors())?.some((one) => one.last_error) ?? false);
    const before = (await newestNote()).size;
    const again = await startStorage();
    await second.process.waitFor('evidence anchor recovered');
    await until('it has the new checkpoint', async () => {
      const { keys: now } = await again.list({ folder: 'log-1/checkpoints' });
      return now.some((key) => Number(key.slice(-20)) >= before);
    });
    await untilShown(second, /^orgtrail_evidence_anchor_age_seconds\{anchor="s3:\/\/evidence[^}]*\} [\d.]+$/m);
    await again.close();

    let record: string | undefined;
    await until('the sink has a record', async () => {
      // The daemon makes the file with its first delivery, and may be in the middle of the last line.
      const lines = (await readFile(events, 'utf8').catch(() => '')).split('\n').slice(0, -1);
      record = lines.find((one) => one.includes('orgtrail_checkpoint'));
      return record !== undefined;
    });
    const { orgtrail_checkpoint: log } = JSON.parse(record ?? '');
    const { rows } = await world.database.pool.query(`select note from evidence_checkpoints where size = $1`, [
      log.size,
    ]);
    expect(log.note).toBe(rows[0]?.note);
    expect((await runOrgtrail(['evidence', 'status'], env)).stdout).toMatch(/^ *(?:anchor)? +sink:siem: \d+ leaves/m);
  });
});

const untilShown = async (daemon: RunningDaemon, line: RegExp) =>
  await until(`/metrics has ${line}`, async () => line.test((await daemon.get('/metrics')).text));

const newestNote = async () => {
  const { rows } = await signing.world.database.pool.query<{ size: number; note: string }>(
    `select size::float8 as size, note from evidence_checkpoints order by size desc limit 1`,
  );
  return rows[0] ?? { size: 0, note: '' };
};
