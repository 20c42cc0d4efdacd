import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createLogin, type Login } from '../../support/accounts/login.ts';
import { freePorts } from '../../support/network/free-ports.ts';
import { runOrgtrail } from '../../support/process/orgtrail-process.ts';
import { type RunningDaemon, startDaemonProcess } from '../../support/process/running-daemon.ts';
import { until } from '../../support/process/until.ts';
import { type Storage, storages, testBucket } from '../../support/s3/storages.ts';
import { openWorld, type SyncWorld } from '../../support/sync/sync-world.ts';

const [moto] = storages;
if (moto === undefined) throw new Error('there is no storage');

let world: SyncWorld;
let login: Login;
let folder: string;
let storage: Storage | undefined;
beforeEach(async () => {
  world = await openWorld({ organizations: 2, entries: 300 }, { ORGTRAIL_SETTLE: 'none' });
  login = await createLogin(world.database, ['orgtrail_ingest', 'orgtrail_evidence']);
  folder = await mkdtemp(join(tmpdir(), 'orgtrail-evidence-'));
});
afterEach(async () => {
  await storage?.stop();
  storage = undefined;
  await login?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

describe.skipIf(moto.missing !== undefined)('a daemon with a bucket as its anchor', () => {
  test('signs while the storage is away, anchors once it is there, goes on through its restart, and says how it stands; a sink gets the checkpoints', async () => {
    const [port = 0] = await freePorts(1);
    const endpoint = encodeURIComponent(`http://127.0.0.1:${port}`);
    const events = join(folder, 'events.ndjson');
    const env = {
      ...world.env,
      DATABASE_URL: login.url,
      ORGTRAIL_LEASE: '2s',
      ORGTRAIL_EVIDENCE_ORIGIN: 'audit.example.com/evidence',
      ORGTRAIL_EVIDENCE_KEY_FILE: join(folder, 'key.pem'),
      ORGTRAIL_EVIDENCE_INTERVAL: '1s',
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
    await untilSigned();
    await first.process.waitFor('evidence anchor failed');
    await untilShown(first, /^orgtrail_evidence_unanchored 1$/m);
    const bucket = await startStorage();
    await first.process.waitFor('evidence checkpoint anchored');
    await untilShown(first, /^orgtrail_evidence_unanchored 0$/m);
    const { keys } = await bucket.list({ folder: 'events/checkpoints' });
    const kept = await bucket.get(keys.at(-1) ?? '');
    expect(kept?.bytes.toString()).toMatch(/^audit\.example\.com\/evidence\/\S+\/events\n/);
    expect(kept?.lockedUntil).toBeDefined();
    await bucket.close();
    expect(await first.stop()).toBe(143);

    // Away again: the log is signed on, and keeps what it was anchored by.
    await storage?.stop();
    grow();
    const sinks = JSON.stringify({ siem: { type: 'file', path: events, checkpoints: true } });
    await using second = await startDaemonProcess({ ...env, ORGTRAIL_SINKS: sinks });
    await second.process.waitFor('evidence anchor failed');
    await untilSigned();
    const anchors = async () => JSON.parse((await second.get('/healthz')).text).evidence.anchors;
    await until('health has the reason', async () =>
      (await anchors()).some((one: { last_error?: string }) => one.last_error),
    );
    const before = (await newestNote()).size;
    const again = await startStorage();
    await second.process.waitFor('evidence anchor recovered');
    await until('it has the new checkpoint', async () => {
      const { keys: now } = await again.list({ folder: 'events/checkpoints' });
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
    const { events: log } = JSON.parse(record ?? '').orgtrail_checkpoint;
    const { rows } = await world.database.pool.query(
      `select note from evidence_checkpoints where log = 'events' and size = $1`,
      [log.size],
    );
    expect(log.note).toBe(rows[0]?.note);
    expect((await runOrgtrail(['evidence', 'status'], env)).stdout).toMatch(/^ *(?:anchor)? +sink:siem: \d+ events/m);
  });
});

const untilSigned = async () =>
  await until('all that is stored is signed', async () => {
    const { rows } = await world.database.pool.query<{ isSigned: boolean }>(
      `select l.signed_size = h.position and h.position > 0 as "isSigned" from feed_head h, evidence_logs l where l.name = 'events'`,
    );
    return rows[0]?.isSigned === true;
  });

const untilShown = async (daemon: RunningDaemon, line: RegExp) =>
  await until(`/metrics has ${line}`, async () => line.test((await daemon.get('/metrics')).text));

const grow = () => {
  for (const { id } of world.simulator.summary().organizations) world.simulator.generate(id, 20);
};

const newestNote = async () => {
  const { rows } = await world.database.pool.query<{ size: number; note: string }>(
    `select size::float8 as size, note from evidence_checkpoints where log = 'events' order by size desc limit 1`,
  );
  return rows[0] ?? { size: 0, note: '' };
};
