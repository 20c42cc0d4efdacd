import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { reasonOf } from '../../../base/errors.ts';

const CONNECT_TIMEOUT_MS = 10_000;
/** From the end of TCP to what is left of TLS in our own buffers. */
const CLOSE_NOTIFY_TIMEOUT_MS = 1_000;
/** Given to a receiver that proves nothing, to close. */
const UNCONFIRMED_CLOSE_MS = 500;
/** From the end of a dying process's connection to that of its listening socket; also for writing what it has read. */
const GONE_MS = 50;
type TcpAddress = Readonly<{ host: string; port: number }>;
type Ports = readonly [local: number, remote: number];
/** PEM texts; no `ca`: the public authorities. */
export type TlsMaterial = Readonly<{ ca: Buffer | undefined; cert: Buffer | undefined; key: Buffer | undefined }>;

export type SyslogConnection = Awaited<ReturnType<typeof openSyslogConnection>>;

interface Channel {
  readonly tcp: Socket;
  readonly stream: Duplex;
  /** Aborts with the reason when nothing more can come of it. */
  readonly life: AbortSignal;
  /** From now on an end is no failure. */
  expectEnd(): void;
}

/**
 * For one delivery. Whatever goes wrong rejects the current or next call with the reason. Nothing is sent over TLS before the receiver
 * has shown a valid certificate.
 */
export const openSyslogConnection = async (
  { tls, ...address }: TcpAddress & { readonly tls: TlsMaterial | undefined },
  signal: AbortSignal,
) => {
  const channel = await openChannel(address, tls, signal);
  const { tcp, stream, life } = channel;
  // If the kernel does not show the connection now, it cannot be asked at the end.
  const ports: Ports = [tcp.localPort ?? 0, tcp.remotePort ?? 0];
  const isShown = (await kernelSockets(...ports)).length > 0;
  return {
    write: async (frame: Buffer): Promise<void> => {
      life.throwIfAborted();
      if (!stream.write(frame)) await event(stream, 'drain', life);
    },
    /** Ends the stream; resolves when the receiver has shown in the wanted way that it has read everything. */
    finish: async (confirm: 'close' | 'tcp_close' | 'none'): Promise<void> => {
      life.throwIfAborted();
      const tcpEnd = once(tcp, 'end', { signal: life });
      const tlsEnd = stream === tcp ? undefined : once(stream, 'end', { signal: life });
      for (const end of [tcpEnd, tlsEnd]) end?.catch(() => {});
      const written = event(stream, 'finish', life);
      channel.expectEnd();
      stream.end();
      await written;
      if (confirm === 'none') return await endUnconfirmed(tcp, rethrown(tcpEnd, life));
      await rethrown(tcpEnd, life);
      if (isShown) await expectAllRead(ports, tlsEnd !== undefined);
      if (tlsEnd !== undefined && confirm === 'close') await expectCloseNotify(tlsEnd);
      await expectStillThere(() => openChannel(address, tls, life), life);
    },
    destroy: () => tcp.destroy(),
  };
};

const openChannel = async (
  { host, port }: TcpAddress,
  tls: TlsMaterial | undefined,
  signal: AbortSignal,
): Promise<Channel> => {
  const broken = new AbortController();
  const life = AbortSignal.any([signal, broken.signal]);
  life.throwIfAborted();
  const tcp = connectTcp({ host, port, allowHalfOpen: true, noDelay: true });
  life.addEventListener('abort', () => tcp.destroy(), { once: true });
  let mayEnd = false;
  const early = (what: string) => () => {
    if (!mayEnd) broken.abort(new Error(`the receiver ${what} before it had everything`));
  };
  tcp.on('error', (error) => broken.abort(error));
  tcp.on('end', early('closed the connection'));
  tcp.on('close', early('closed the connection'));
  const tooLate = setTimeout(
    () => broken.abort(new Error(`no connection within ${CONNECT_TIMEOUT_MS / 1_000} s`)),
    CONNECT_TIMEOUT_MS,
  );
  try {
    await event(tcp, 'connect', life);
    const stream = tls === undefined ? tcp : connectTls({ ...tlsOptions(tls, host), socket: tlsTunnel(tcp) });
    if (stream !== tcp) {
      stream.on('error', (error) => broken.abort(error));
      stream.on('end', early('ended TLS'));
      await event(stream, 'secureConnect', life);
    }
    // Syslog has no answers, but only a reader sees an end.
    stream.resume();
    const expectEnd = () => {
      mayEnd = true;
    };
    return { tcp, stream, life, expectEnd };
  } catch (error) {
    // Node throws invalid certificates instead of reporting them on the connection.
    tcp.destroy();
    throw error;
  } finally {
    clearTimeout(tooLate);
  }
};

const tlsOptions = ({ ca, cert, key }: TlsMaterial, host: string) => ({
  host,
  // An address is no server name, but is still checked against the certificate.
  ...(isIP(host) === 0 && { servername: host }),
  ...(ca !== undefined && { ca }),
  ...(cert !== undefined && { cert }),
  ...(key !== undefined && { key }),
  minVersion: 'TLSv1.2' as const,
  rejectUnauthorized: true,
  allowHalfOpen: true,
});

/** Rejects with what has broken the connection instead of an AbortError. */
const rethrown = async <T>(promise: Promise<T>, life: AbortSignal): Promise<T> => {
  try {
    return await promise;
  } catch (error) {
    life.throwIfAborted();
    throw error;
  }
};

const event = (emitter: Duplex, name: string, life: AbortSignal): Promise<unknown> =>
  rethrown(once(emitter, name, { signal: life }), life);

/**
 * Over TCP the kernel answers the end by itself: a process that dies with messages in its memory, read but not written, looks
 * like one that has read to the end. Over TLS it has read them and may die before it writes. A dead one takes no connections; one
 * that gets no time does not end them, as the kernel alone takes them.
 */
const expectStillThere = async (open: () => Promise<Channel>, life: AbortSignal): Promise<void> => {
  await rethrown(sleep(GONE_MS, undefined, { signal: life }), life);
  let probe: Channel | undefined;
  try {
    probe = await open();
    const end = once(probe.tcp, 'end', { signal: probe.life });
    end.catch(() => {});
    probe.expectEnd();
    probe.stream.end();
    await rethrown(end, probe.life);
  } catch (error) {
    life.throwIfAborted();
    throw new Error(`the receiver closed and then took no connection, as if it had ended: ${reasonOf(error)}`);
  } finally {
    probe?.tcp.destroy();
  }
};

const endUnconfirmed = async (tcp: Socket, end: Promise<unknown>): Promise<void> => {
  tcp.end();
  await Promise.race([end, sleep(UNCONFIRMED_CLOSE_MS, undefined, { ref: false })]);
  end.catch(() => {});
};

/**
 * After the receiver has closed, the kernel tells whether it had everything: if not, our end or last bytes are unacknowledged, or
 * brought a reset, which Node no longer reports. Over TLS we have sent no end of TCP.
 */
const expectAllRead = async (ports: Ports, isTls: boolean): Promise<void> => {
  const sockets = await kernelSockets(...ports);
  const isAllRead = sockets.every(({ state, unacknowledged }) =>
    isTls ? state === CLOSE_WAIT && unacknowledged === 0 : state === TIME_WAIT,
  );
  if (sockets.length === 0 || !isAllRead) {
    throw new Error('the receiver closed the connection before it had read everything');
  }
};

const expectCloseNotify = async (tlsEnd: Promise<unknown>): Promise<void> => {
  const missing = Symbol('missing');
  const first = await Promise.race([tlsEnd, sleep(CLOSE_NOTIFY_TIMEOUT_MS, missing, { ref: false })]);
  if (first === missing) {
    throw new Error(
      "the receiver closed the connection without TLS close_notify (rsyslog's gtls driver never sends it: use its ossl driver, or set confirm to tcp_close)",
    );
  }
};

/**
 * Carries TLS over a TCP connection that its owner keeps. With Node's own TLS socket a reset, the end of TCP and close_notify look
 * alike. Here the end of TCP does not come through, so an end of TLS is the other side's close_notify, and our end of TLS does not
 * close the sending side of TCP.
 */
const tlsTunnel = (tcp: Socket): Duplex => {
  const tunnel = new Duplex({
    read: () => {
      tcp.resume();
    },
    write: (chunk: Buffer, _encoding, done) => {
      tcp.write(chunk, done);
    },
  });
  tcp.on('data', (chunk: Buffer) => {
    // After the end of TLS, input is dropped: unread, it would hide the end of TCP.
    if (!tunnel.destroyed && !tunnel.push(chunk)) tcp.pause();
  });
  tunnel.on('close', () => tcp.resume());
  return tunnel;
};

const TIME_WAIT = '06';
const CLOSE_WAIT = '08';
const tables = ['/proc/net/tcp', '/proc/net/tcp6'];
/** `  3: 0100007F:1F90 0200007F:C350 01 00000000:00000000 …`: addresses, state, bytes to send and to read. */
const row = /^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:([0-9A-F]{4}) ([0-9A-F]{2}) ([0-9A-F]{8}):/;

/**
 * Connections between these two ports in this network namespace, with the bytes that are not acknowledged, a FIN as one: mostly one.
 * Empty after a reset, and on any system but Linux.
 */
const kernelSockets = async (localPort: number, remotePort: number) => {
  const texts = await Promise.all(tables.map((table) => readFile(table, 'latin1').catch(() => '')));
  return texts
    .flatMap((text) => text.split('\n'))
    .flatMap((line) => {
      const [, local = '', remote = '', state = '', toSend = ''] = row.exec(line) ?? [];
      const isIt = Number.parseInt(local, 16) === localPort && Number.parseInt(remote, 16) === remotePort;
      return isIt ? [{ state, unacknowledged: Number.parseInt(toSend, 16) }] : [];
    });
};
