import { chmod, chown, copyFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import { beforeAll, describe, expect, test } from 'vitest';
import { startEmbeddedServer } from '../../../src/postgres/embedded-server.ts';
import { createPool } from '../../../src/postgres/pool.ts';
import { type CertificateFiles, createCa, createCertificate, hasOpenssl } from '../../support/network/certificates.ts';
import { ofAllTests } from '../../support/process/of-tests.ts';
import { runOrgtrail } from '../../support/process/orgtrail-process.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';
import { until } from '../../support/process/until.ts';

const available = await hasOpenssl();
if (!available) console.log('skipped, TLS to PostgreSQL: there is no openssl here to make certificates');

// A server of its own: its settings are what is tested.
describe.skipIf(!available)('TLS to PostgreSQL', () => {
  const { folder: directory } = temporaryFolder();
  const server = ofAllTests(async () => {
    await chmod(directory, 0o755);
    return await startEmbeddedServer(directory);
  });
  let password: string;
  let [ca, otherCa, certified] = [] as unknown as [CertificateFiles, CertificateFiles, CertificateFiles];
  beforeAll(async () => {
    password = new URL(server.url).password;
    [ca, otherCa] = [await createCa(directory, 'right-ca'), await createCa(directory, 'other-ca')];
    certified = await createCertificate(directory, ca, 'certified');
  });

  /** The server by this host, which its certificate has (localhost) or has not (127.0.0.1). */
  const urlOf = (query: string, { host = 'localhost', user = 'orgtrail' } = {}): string => {
    const url = new URL(server.url);
    url.hostname = host;
    url.username = user;
    url.search = query;
    return url.href;
  };
  const migrate = async (url: string, run: typeof runOrgtrail = runInProcess, env: Record<string, string> = {}) => {
    // Without the warnings that migrations are still in progress, which a slow machine gets.
    const result = await run(['migrate'], { DATABASE_URL: url, ORGTRAIL_LOG_LEVEL: 'error', ...env });
    expect(result.stdout + result.stderr).not.toContain(password);
    return result;
  };
  const sessionOf = async (url: string) => {
    const pool = createPool(url, 1, () => {});
    try {
      const { rows } = await pool.query('select ssl, client_dn from pg_stat_ssl where pid = pg_backend_pid()');
      return rows[0];
    } finally {
      await pool.end();
    }
  };

  test('a server without TLS: a client that requires it stops, exit 4', async () => {
    for (const query of ['sslmode=require', 'sslmode=prefer', 'sslmode=no-verify', 'ssl=true']) {
      const { code, stderr } = await migrate(urlOf(query));
      expect(stderr, query).toMatch(/does not support SSL connections\nTry: turn ssl on in the server/);
      expect(code, query).toBe(4);
    }
    expect(await sessionOf(urlOf(''))).toMatchObject({ ssl: false });
  });

  describe('a server that requires it', () => {
    beforeAll(async () => {
      const data = join(directory, 'postgres');
      const { uid, gid } = await stat(data);
      const own = await createCertificate(directory, ca, 'localhost');
      for (const [from, name] of [
        [own.cert, 'server.crt'],
        [own.key, 'server.key'],
        [ca.cert, 'root.crt'],
      ] as const) {
        await copyFile(from, join(data, name));
        await chown(join(data, name), uid, gid);
        await chmod(join(data, name), 0o600);
      }
      const admin = new Client({ connectionString: server.url });
      await admin.connect();
      await admin.query('create role certified login superuser');
      await admin.query("alter system set ssl_ca_file = 'root.crt'");
      await admin.query('alter system set ssl = on');
      await writeFile(join(data, 'pg_hba.conf'), 'hostssl all certified all cert\nhostssl all all all scram-sha-256\n');
      await admin.query('select pg_reload_conf()');
      await admin.end();
      // The postmaster reads its settings when it gets to it; a server without OpenSSL would fail here.
      const answers = () =>
        sessionOf(urlOf('sslmode=no-verify')).then(
          (session) => session.ssl === true,
          () => false,
        );
      await until('the server offers TLS', answers);
    });

    const verifying = ['prefer', 'require', 'verify-ca', 'verify-full'];

    test.each(verifying)('sslmode=%s takes it with the right CA, and no other way', async (mode) => {
      const good = `sslmode=${mode}&sslrootcert=${ca.cert}`;
      expect(await migrate(urlOf(good))).toMatchObject({ code: 0, stderr: '' });
      expect(await sessionOf(urlOf(good))).toMatchObject({ ssl: true });

      for (const bad of [`sslmode=${mode}&sslrootcert=${otherCa.cert}`, `sslmode=${mode}`]) {
        const { code, stderr } = await migrate(urlOf(bad));
        expect(stderr, bad).toMatch(
          /^orgtrail: PostgreSQL at localhost:\d+\/orgtrail: .*\nTry: name the CA .*sslrootcert=/,
        );
        expect(code, bad).toBe(4);
      }
      const { code, stderr } = await migrate(urlOf(good, { host: '127.0.0.1' }));
      expect(stderr).toMatch(
        /does not match certificate's altnames.*127\.0\.0\.1.*\nTry: connect by a name or address/,
      );
      expect(code).toBe(4);
    });

    test.each(['ssl=true', 'ssl=1', 'sslnegotiation=direct'])('%s verifies, too', async (query) => {
      expect((await migrate(urlOf(query))).stderr).toMatch(/Try: name the CA/);
      if (query.startsWith('ssl='))
        expect(await sessionOf(urlOf(`${query}&sslrootcert=${ca.cert}`))).toMatchObject({ ssl: true });
    });

    test('sslmode=no-verify encrypts and verifies nothing', async () => {
      expect(await sessionOf(urlOf('sslmode=no-verify', { host: '127.0.0.1' }))).toMatchObject({ ssl: true });
    });

    test.each(['', 'sslmode=disable', 'ssl=false'])(
      '"%s" does not encrypt: the server refuses, and says what to add',
      async (query) => {
        const { code, stderr } = await migrate(urlOf(query));
        expect(stderr).toMatch(/no pg_hba\.conf entry .*no encryption\nTry: .*add sslmode=verify-full/);
        expect(code).toBe(4);
      },
    );

    test('as a process: no warning of the driver, and NODE_TLS_REJECT_UNAUTHORIZED=0 changes nothing', async () => {
      const good = urlOf(`sslmode=require&sslrootcert=${ca.cert}`);
      expect(await migrate(good, runOrgtrail)).toMatchObject({ code: 0, stderr: '' });
      const off = { NODE_TLS_REJECT_UNAUTHORIZED: '0' };
      const { code, stderr } = await migrate(urlOf('sslmode=require'), runOrgtrail, off);
      expect(stderr).toContain('Try: name the CA');
      expect(code).toBe(4);
    });

    test.each(['sslmode=verify-full', 'sslmode=verify-full&sslnegotiation=direct'])(
      '%s: the server ends a statement that was given up',
      async (query) => {
        const pool = createPool(urlOf(`${query}&sslrootcert=${ca.cert}&query_timeout=2000`), 1, () => {});
        await expect(pool.query("select pg_sleep(600), 'given up'")).rejects.toThrow('Query read timeout');
        const watching = createPool(urlOf(`sslmode=verify-full&sslrootcert=${ca.cert}`), 1, () => {});
        await until('the server has ended it', async () => {
          const { rowCount } = await watching.query(
            "select from pg_stat_activity where query like '%given up%' and state = 'active' and pid <> pg_backend_pid()",
          );
          return rowCount === 0;
        });
        await watching.end();
        await pool.end();
      },
    );

    test('an account by certificate: with it, the server knows who it is; without, says what is missing', async () => {
      const query = `sslmode=verify-full&sslrootcert=${ca.cert}`;
      const withCertificate = `${query}&sslcert=${certified.cert}&sslkey=${certified.key}`;
      expect(await sessionOf(urlOf(withCertificate, { user: 'certified' }))).toEqual({
        ssl: true,
        client_dn: '/CN=certified',
      });
      const { code, stderr } = await migrate(urlOf(query, { user: 'certified' }));
      expect(stderr).toMatch(/requires a valid client certificate\nTry: .*sslcert=/);
      expect(code).toBe(4);
    });

    test('a certificate file that is replaced counts from the next connection on, also while it is away', async () => {
      const file = join(directory, 'renewed.crt');
      await copyFile(otherCa.cert, file);
      const pool = createPool(urlOf(`sslmode=verify-full&sslrootcert=${file}`), 1, () => {});
      await expect(pool.query('select 1')).rejects.toThrow();
      await copyFile(ca.cert, file);
      await expect(pool.query('select 1')).resolves.toBeDefined();
      await rm(file);
      await pool.query('select pg_terminate_backend(pg_backend_pid())').catch(() => {});
      await expect(pool.query('select 1')).resolves.toBeDefined();
      await pool.end();
    });
  });
});
