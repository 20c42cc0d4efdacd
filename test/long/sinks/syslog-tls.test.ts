import { once } from 'node:events';
import { copyFile, readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { createCa, createCertificate } from '../../support/network/certificates.ts';
import { mostHeldBytes } from '../../support/process/held-bytes.ts';
import { until } from '../../support/process/until.ts';
import { outgoingEvents } from '../../support/sinks/syslog-events.ts';
import { startRsyslog, startSyslogNg, useSyslogReceivers } from '../../support/sinks/syslog-receivers.ts';
import { syslogSink } from '../../support/sinks/syslog-sink.ts';

const { missing, files, directory } = await useSyslogReceivers();

describe.skipIf(missing !== undefined)('over TLS', () => {
  const tlsSink = (port: number, settings: Readonly<Record<string, unknown>> = {}) =>
    syslogSink({ url: `tls://localhost:${port}`, ca_file: files.ca.cert, ...settings });

  test.each([
    [
      'of an authority that is not known',
      async () => ({ ca_file: (await createCa(directory(), 'other-ca')).cert }),
      /unable to verify|self-signed|issuer/,
    ],
    ['of no public authority', async () => ({ ca_file: undefined }), /unable to (verify|get)|self-signed|issuer/],
  ])('a receiver with a certificate %s gets nothing', async (_, settings, reason) => {
    await using receiver = await startRsyslog({ tls: files.server });
    const outcome = await tlsSink(receiver.port, await settings()).deliver(delivery(3), never());
    expect(outcome).toMatchObject({ kind: 'failed', reason: expect.stringMatching(reason) });
    expect(await receiver.received()).toEqual([]);
  });

  test('a receiver with a certificate of another host gets nothing', async () => {
    const other = await createCertificate(directory(), files.ca, 'other.example.com');
    await using receiver = await startSyslogNg({ tls: other });
    const outcome = await tlsSink(receiver.port).deliver(delivery(3), never());
    expect(outcome).toMatchObject({
      kind: 'failed',
      reason: expect.stringContaining("does not match certificate's altnames"),
    });
    expect(await receiver.received()).toEqual([]);
  });

  test('an address is checked against the addresses in the certificate', async () => {
    await using receiver = await startSyslogNg({ tls: files.server });
    const outcome = await tlsSink(receiver.port, { url: `tls://127.0.0.1:${receiver.port}` }).deliver(
      delivery(3),
      never(),
    );
    expect(outcome).toEqual({ kind: 'delivered', refused: [] });
  });

  test.each([
    ['rsyslog', startRsyslog],
    ['syslog-ng', startSyslogNg],
  ])(
    '%s that requires a client certificate takes none without, and what it is given next time',
    async (name, start) => {
      await using receiver = await start({ tls: { ...files.server, clientCa: files.ca.cert } });
      const outcome = await tlsSink(receiver.port).deliver(delivery(3), never());
      expect(outcome.kind).toBe('failed');
      const [cert_file, key_file] = [join(directory(), `${name}.crt`), join(directory(), `${name}.key`)];
      const sink = tlsSink(receiver.port, { cert_file, key_file });
      expect(await sink.deliver(delivery(3), never())).toMatchObject({
        kind: 'failed',
        reason: expect.stringMatching(/^cert_file: ENOENT/),
      });
      expect(await receiver.received()).toEqual([]);
      await copyFile(files.client.cert, cert_file);
      await copyFile(files.client.key, key_file);
      expect(await sink.deliver(delivery(3), never())).toEqual({ kind: 'delivered', refused: [] });
      expect(await receiver.received()).toHaveLength(3);
    },
  );

  test('a certificate that is none is a failure', async () => {
    await using receiver = await startRsyslog({ tls: files.server });
    const outcome = await tlsSink(receiver.port, { cert_file: files.client.cert, key_file: files.server.key }).deliver(
      delivery(1),
      never(),
    );
    expect(outcome).toMatchObject({ kind: 'failed', reason: expect.stringMatching(/key values mismatch/) });
  });

  test('an end without close_notify proves nothing: rsyslog with gtls, unless tcp_close is said', async () => {
    await using receiver = await startRsyslog({ tls: files.server, driver: 'gtls' });
    expect(await tlsSink(receiver.port).deliver(delivery(3), never())).toMatchObject({
      kind: 'failed',
      reason: expect.stringContaining('without TLS close_notify'),
    });
    expect(await tlsSink(receiver.port, { confirm: 'tcp_close' }).deliver(delivery(3), never())).toEqual({
      kind: 'delivered',
      refused: [],
    });
  });

  test('a receiver that stops (SIGSTOP) is given up in time, and has everything when it goes on', async () => {
    await using receiver = await startRsyslog({ tls: files.server });
    receiver.signal('SIGSTOP');
    const outcome = await tlsSink(receiver.port, { timeout: '1s' }).deliver(delivery(3), never());
    receiver.signal('SIGCONT');
    expect(outcome).toMatchObject({ kind: 'failed', reason: 'no connection within 1s' });
    expect(await tlsSink(receiver.port).deliver(delivery(3), never())).toEqual({ kind: 'delivered', refused: [] });
    expect(await receiver.received()).toHaveLength(3);
  });

  test('a receiver that stands still holds no more in memory than a few messages', async () => {
    const options = { cert: await readFile(files.server.cert), key: await readFile(files.server.key) };
    const standing = createTlsServer(options, (socket) => socket.on('error', () => {}).pause());
    standing.listen(0, '127.0.0.1');
    await once(standing, 'listening');
    const sink = tlsSink((standing.address() as AddressInfo).port, { timeout: '5s' });
    expect(await mostHeldBytes(sink)).toBeLessThan(20_000_000);
    standing.close();
  });

  test('with confirm none it sends and goes', async () => {
    await using receiver = await startSyslogNg({ tls: files.server });
    expect(await tlsSink(receiver.port, { confirm: 'none' }).deliver(delivery(50), never())).toEqual({
      kind: 'delivered',
      refused: [],
    });
    await until('all has arrived', async () => (await receiver.received()).length === 50);
  });
});

const delivery = (count: number, textLength = 500) => ({ id: 'one', events: outgoingEvents(count, { textLength }) });
const never = () => new AbortController().signal;
