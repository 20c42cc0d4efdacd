import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { reasonOf } from '../../errors.ts';
import type { Delivery, Sink } from '../delivery.ts';
import type { SinkKind } from '../sink-kind.ts';
import { failed, tooLate } from './answers.ts';
import { type SyslogSettings, syslogSettings } from './settings.ts';
import { openSyslogConnection, type SyslogConnection, type TlsMaterial } from './syslog-connection.ts';
import { type SyslogHeader, syslogHostname, syslogMessage } from './syslog-message.ts';

/** The port of RFC 5425, and the usual one for TCP. */
const defaultPorts = { 'tls:': 6514, 'tcp:': 514 } as const;

type Refused = { readonly index: number; readonly reason: string };

/**
 * RFC 5424 messages over TCP or TLS with octet counting (RFC 6587, RFC 5425), a connection for each delivery. Syslog has no
 * acknowledgement; what stands for one is that the receiver reads to the end and closes (docs/decisions/0014).
 * Certificates are read again for each connection.
 */
const create = (settings: SyslogSettings): Sink => {
  const url = new URL(settings.url);
  const isTls = url.protocol === 'tls:';
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const port = Number(url.port || defaultPorts[isTls ? 'tls:' : 'tcp:']);
  const header: SyslogHeader = {
    facility: settings.facility,
    hostname: settings.hostname ?? syslogHostname(hostname()),
    appName: settings.app_name,
    format: settings.format,
  };
  return {
    target: `${url.protocol}//${url.hostname}:${port}`,
    deliver: async (delivery, signal) => {
      const timeout = AbortSignal.timeout(settings.timeout);
      const ending = AbortSignal.any([signal, timeout]);
      let connection: SyslogConnection | undefined;
      try {
        const tls = isTls ? await tlsMaterial(settings) : undefined;
        connection = await openSyslogConnection({ host, port, tls }, ending);
        const refused = await writeAll(connection, delivery, header, settings.max_message_bytes);
        await connection.finish(settings.confirm);
        return { kind: 'delivered', refused };
      } catch (error) {
        signal.throwIfAborted();
        const isConnected = connection !== undefined;
        const outcome = failed(timeout.aborted ? tooLate(settings.timeout, isConnected) : error);
        if (!isConnected) return { ...outcome, because: 'receiver' };
        return timeout.aborted ? { ...outcome, because: 'slow' } : outcome;
      } finally {
        connection?.destroy();
      }
    },
    close: async () => {},
  };
};

const writeAll = async (
  connection: SyslogConnection,
  { events }: Delivery,
  header: SyslogHeader,
  maxMessageBytes: number,
): Promise<Refused[]> => {
  const refused: Refused[] = [];
  for (const [index, event] of events.entries()) {
    const message = Buffer.from(syslogMessage(event, header), 'utf8');
    if (message.length > maxMessageBytes) {
      refused.push({ index, reason: `${message.length} bytes, and max_message_bytes is ${maxMessageBytes}` });
    } else {
      await connection.write(Buffer.concat([Buffer.from(`${message.length} `), message]));
    }
  }
  return refused;
};

const tlsMaterial = async ({ ca_file, cert_file, key_file }: SyslogSettings): Promise<TlsMaterial> => {
  const read = async (name: string, path: string | undefined): Promise<Buffer | undefined> => {
    if (path === undefined) return undefined;
    return await readFile(path).catch((error: unknown) => {
      throw new Error(`${name}: ${reasonOf(error)}`);
    });
  };
  return {
    ca: await read('ca_file', ca_file),
    cert: await read('cert_file', cert_file),
    key: await read('key_file', key_file),
  };
};

export const syslog: SinkKind<typeof syslogSettings.settings> = { ...syslogSettings, create };
