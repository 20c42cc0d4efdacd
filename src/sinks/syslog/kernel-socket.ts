import { readFile } from 'node:fs/promises';

/** What the kernel knows of a TCP connection and Node does not tell. */
export interface KernelSocket {
  /** As in the kernel's table: `01` is ESTABLISHED. */
  readonly state: string;
  /** Bytes that the other end has not acknowledged; a FIN counts as one. */
  readonly unacknowledged: number;
}

export const TIME_WAIT = '06';
export const CLOSE_WAIT = '08';

const tables = ['/proc/net/tcp', '/proc/net/tcp6'];

/** `  3: 0100007F:1F90 0200007F:C350 01 00000000:00000000 …`: addresses, state, bytes to send and to read. */
const row = /^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:([0-9A-F]{4}) ([0-9A-F]{2}) ([0-9A-F]{8}):/;

/**
 * The connections between these two ports, from the tables of this network namespace: mostly one. Empty if it is gone
 * from them (a reset does that), and if there are no such tables, as on any system but Linux.
 */
export const kernelSockets = async (localPort: number, remotePort: number): Promise<KernelSocket[]> => {
  const texts = await Promise.all(tables.map((table) => readFile(table, 'latin1').catch(() => '')));
  return texts
    .flatMap((text) => text.split('\n'))
    .flatMap((line) => {
      const [, local = '', remote = '', state = '', toSend = ''] = row.exec(line) ?? [];
      const isIt = Number.parseInt(local, 16) === localPort && Number.parseInt(remote, 16) === remotePort;
      return isIt ? [{ state, unacknowledged: Number.parseInt(toSend, 16) }] : [];
    });
};
