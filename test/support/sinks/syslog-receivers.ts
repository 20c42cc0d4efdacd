import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { freePort } from '../../../src/postgres/embedded-server.ts';
import { type CertificateFiles, createCa, createCertificate } from '../network/certificates.ts';
import { until } from '../process/until.ts';
import { installDebianPeers } from './debian-peers.ts';
import { rsyslogConfig, type SyslogTls, syslogNgConfig } from './syslog-receiver-configs.ts';

/** Where scripts/install/debian-peers.sh unpacks them. */
const root = '/opt/orgtrail-peers';
const rsyslogd = join(root, 'usr/sbin/rsyslogd');
const syslogNg = join(root, 'usr/sbin/syslog-ng');

/** Sees to it that rsyslog and syslog-ng are here. The reason where they are not. */
export const installSyslogReceivers = (): Promise<string | undefined> =>
  installDebianPeers('rsyslog or syslog-ng', () => existsSync(rsyslogd) && existsSync(syslogNg));

/** The receivers that the tests of this file need, and certificates for them. */
export const useSyslogReceivers = async () => {
  const missing = await installSyslogReceivers();
  if (missing !== undefined) console.warn(`skipped, needs rsyslog and syslog-ng: ${missing}`);
  const files = {} as Record<'ca' | 'server' | 'client', CertificateFiles>;
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'orgtrail-syslog-'));
    const ca = await createCa(directory, 'ca');
    const server = await createCertificate(directory, ca, 'localhost', 'DNS:localhost,IP:127.0.0.1');
    Object.assign(files, { ca, server, client: await createCertificate(directory, ca, 'orgtrail-client') });
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));
  const clientTls = () => ({ ...files.server, clientCa: files.ca.cert });
  const kinds: Readonly<Record<string, SyslogKind>> = {
    'rsyslog over TCP': { url: 'tcp:', start: () => startRsyslog() },
    'rsyslog over TLS (ossl)': { url: 'tls:', start: () => startRsyslog({ tls: files.server }) },
    'rsyslog over TLS (ossl), with client certificates': {
      url: 'tls:',
      start: () => startRsyslog({ tls: clientTls() }),
    },
    'rsyslog over TLS (gtls)': {
      url: 'tls:',
      confirm: 'tcp_close',
      start: () => startRsyslog({ tls: files.server, driver: 'gtls' }),
    },
    'syslog-ng over TCP': { url: 'tcp:', start: () => startSyslogNg() },
    'syslog-ng over TLS': { url: 'tls:', start: () => startSyslogNg({ tls: files.server }) },
    'syslog-ng over TLS, with client certificates': { url: 'tls:', start: () => startSyslogNg({ tls: clientTls() }) },
  };
  return { missing, files, kinds, directory: () => directory };
};

interface SyslogKind {
  readonly url: 'tcp:' | 'tls:';
  readonly confirm?: 'tcp_close';
  start(): Promise<SyslogReceiver>;
}

/** One line of what a receiver has written: the fields of RFC 5424 as it has parsed them. */
interface ReceivedMessage {
  readonly priority: number;
  /** As the receiver writes times: rsyslog and syslog-ng differ in how they spell UTC. */
  readonly timestamp: string;
  readonly hostname: string;
  readonly appName: string;
  readonly processId: string;
  readonly messageId: string;
  /** Of the STRUCTURED-DATA, unescaped. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly key: string;
  readonly position: number;
  readonly text: string;
}

/** A real receiver as a child process, that writes to a file of its own. */
export interface SyslogReceiver extends AsyncDisposable {
  readonly port: number;
  readonly outputFile: string;
  /** What it has written up to now, in its order; throws where a line is not of the form that it was told to write. */
  received(): Promise<ReceivedMessage[]>;
  /** SIGTERM, and waits for its end. */
  stop(): Promise<void>;
  /** SIGKILL, and waits for its end. */
  kill(): Promise<void>;
  /** Starts it again on the same port, with the same file, without a line that its end has torn. */
  restart(): Promise<void>;
  /** For faults: SIGSTOP and SIGCONT. */
  signal(signal: NodeJS.Signals): void;
  /** What it has said on its standard output and error. */
  said(): string;
}

export interface SyslogReceiverOptions {
  /** Plain TCP without it. */
  readonly tls?: CertificateFiles & Pick<SyslogTls, 'clientCa'>;
}

/** rsyslog with imtcp; over TLS with its `ossl` driver, or `gtls`. */
export const startRsyslog = async (
  options: SyslogReceiverOptions & { readonly driver?: 'ossl' | 'gtls' } = {},
): Promise<SyslogReceiver> => {
  const library = readdirSync(join(root, 'usr/lib')).find((name) => existsSync(join(root, 'usr/lib', name, 'rsyslog')));
  const modules = join(root, 'usr/lib', library ?? '', 'rsyslog');
  return await startReceiver('rsyslog', async (directory, port) => {
    const config = join(directory, 'rsyslog.conf');
    await writeFile(config, rsyslogConfig({ directory, port, driver: options.driver ?? 'ossl', ...options }));
    return { command: rsyslogd, args: ['-n', '-M', modules, '-f', config, '-i', join(directory, 'pid')] };
  });
};

/** syslog-ng with the `syslog()` source. */
export const startSyslogNg = async (options: SyslogReceiverOptions = {}): Promise<SyslogReceiver> => {
  const libraries = join(root, 'usr/lib/syslog-ng');
  const modules = join(libraries, readdirSync(libraries).find((name) => /^\d+\.\d+$/.test(name)) ?? '');
  return await startReceiver('syslog-ng', async (directory, port) => {
    const file = (name: string) => join(directory, name);
    await writeFile(file('syslog-ng.conf'), syslogNgConfig({ directory, port, ...options }));
    const own = ['-f', file('syslog-ng.conf'), '-R', file('persist'), '-p', file('pid'), '-c', file('ctl')];
    return {
      command: syslogNg,
      args: ['-F', '--no-caps', `--module-path=${modules}`, ...own],
      env: { LD_LIBRARY_PATH: libraries },
    };
  });
};

interface Command {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

const startReceiver = async (
  name: string,
  prepare: (directory: string, port: number) => Promise<Command>,
): Promise<SyslogReceiver> => {
  const directory = await mkdtemp(join(tmpdir(), `orgtrail-${name}-`));
  const port = await freePort();
  const command = await prepare(directory, port);
  const outputFile = join(directory, 'received');
  const said: string[] = [];
  let child = await launch(command, port, said);
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, 'exit');
  };
  return {
    port,
    outputFile,
    received: async () => parseReceived(await readFile(outputFile, 'utf8').catch(() => '')),
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    restart: async () => {
      await end('SIGTERM');
      await dropTornLine(outputFile);
      child = await launch(command, port, said);
    },
    signal: (signal) => {
      child.kill(signal);
    },
    said: () => said.join(''),
    [Symbol.asyncDispose]: async () => {
      await end('SIGKILL');
      await rm(directory, { recursive: true, force: true });
    },
  };
};

/**
 * Cuts the file after its last line end. Linux ends a write() in its middle when the process is killed, and the receiver appends
 * to the half line after its restart: without this, the half line and the first one after it are read as one.
 */
const dropTornLine = async (file: string): Promise<void> => {
  const written = await readFile(file).catch(() => Buffer.alloc(0));
  const end = written.lastIndexOf('\n') + 1;
  if (end < written.length) await truncate(file, end);
};

const launch = async ({ command, args, env }: Command, port: number, said: string[]): Promise<ChildProcess> => {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => said.push(text));
  }
  await until(`${command} takes connections`, async () => {
    if (child.exitCode !== null) throw new Error(`${command} has ended`);
    return await takesConnections(port);
  }).catch((error: unknown) => {
    child.kill('SIGKILL');
    throw new Error(`${error}\n${said.join('')}`);
  });
  return child;
};

const takesConnections = async (port: number): Promise<boolean> => {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
};

const parseReceived = (output: string): ReceivedMessage[] =>
  output
    .split('\n')
    .slice(0, -1)
    .map((line) => {
      const [priority, timestamp, hostname, appName, processId, messageId, structured, ...text] = line.split('\t');
      const parameters = parseStructuredData(structured ?? '');
      const { key, position } = parameters;
      if (key === undefined || position === undefined) throw new Error(`not a line of ours: ${line.slice(0, 500)}`);
      return {
        priority: Number(priority),
        timestamp: timestamp ?? '',
        hostname: hostname ?? '',
        appName: appName ?? '',
        processId: processId ?? '',
        messageId: messageId ?? '',
        parameters,
        key,
        position: Number(position),
        text: text.join('\t'),
      };
    });

/** The parameters of our STRUCTURED-DATA, unescaped. */
export const parseStructuredData = (text: string): Record<string, string> => {
  const inside = /^\[orgtrail@32473((?: [a-z]+="(?:[^"\\\]]|\\["\\\]])*")*)\]$/.exec(text)?.[1] ?? '';
  const parameters = inside.matchAll(/ ([a-z]+)="((?:[^"\\\]]|\\["\\\]])*)"/g);
  return Object.fromEntries([...parameters].map(([, name, value]) => [name, (value ?? '').replace(/\\(.)/g, '$1')]));
};
