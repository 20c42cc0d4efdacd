import type { PoolClient } from 'pg';
import { type BinaryRow, copyWithin } from '../../postgres/copy.ts';
import { eventFields, readEventRow } from '../append/logs.ts';
import { type BundleTime, isOfTime, LEAVES_PER_PAYLOAD, payloadPath, withheldPath } from '../bundle/layout.ts';
import { writePayloadRecord, writeWithheldRecord } from '../bundle/records.ts';
import type { FileWriter, FolderWriter } from '../files/folder-writer.ts';
import { monthOf, SALT_BYTES, saltOf, writeEventLeaf } from '../leaf.ts';
import { field, integer, ofSource, ofTime } from './copy-logs.sql.ts';

export interface PayloadOptions {
  readonly size: number;
  readonly monthKeys: ReadonlyMap<string, Buffer>;
  readonly isPacked: boolean;
  /** No files without an event. */
  readonly source?: { readonly kind: string; readonly id: string } | undefined;
  readonly time?: ExportedTime | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: (position: number) => void;
}

export interface ExportedTime extends BundleTime {
  /** Without the leaves of other events: nothing shows then that no event of the time is left out. */
  readonly isHashesOnly: boolean;
}

/** Leaves are made from what is stored now: the verifier says whether they are in the tree. `withheld`: with their leaf alone. */
export const copyPayload = async (
  client: PoolClient,
  writer: FolderWriter,
  { size, monthKeys, isPacked, source, time, signal, onEvent }: PayloadOptions,
): Promise<{ readonly events: number; readonly withheld: number }> => {
  const isSparse = source !== undefined || time !== undefined;
  const open = (path: string) => writer.open(isPacked ? `${path}.gz` : path, isPacked);
  const files = new PayloadFiles(size, isSparse, (index) => open(payloadPath(index)));
  const others = new PayloadFiles(size, true, (index) => open(withheldPath(index)));
  const isShown = isOfTime(time ?? { since: null, before: null });
  let [events, withheld] = [0, 0];
  const take = (row: BinaryRow) => {
    const event = readEventRow(row);
    const { position } = event;
    const key = monthKeys.get(monthOf(event.actionTimeUs));
    const salt = key === undefined ? Buffer.alloc(SALT_BYTES) : saltOf(key, position);
    const leaf = writeEventLeaf({ ...event, salt });
    if (isShown(event.actionTimeUs)) {
      const raw = field(row, eventFields.length - 1);
      files.fileOf(position).write(writePayloadRecord({ leaf, raw }));
      events += 1;
    } else {
      others.fileOf(position).write(writeWithheldRecord(leaf));
      withheld += 1;
    }
    onEvent?.(position);
  };
  const query = `select ${eventFields.join(', ')} from audit_events e
    where position > 0 and position <= ${integer(size)} ${ofSource(client, 'e', source)}
      ${time?.isHashesOnly === true ? ofTime(client, 'e', time) : ''} order by position`;
  try {
    await copyWithin(client, query, take, { signal, long: true });
    files.end();
    others.end();
  } finally {
    files.close();
    others.close();
  }
  return { events, withheld };
};

/** One after the other. Unless sparse, a file that a leaf could be in is there even without an event. */
class PayloadFiles {
  readonly #open: (index: number) => FileWriter;
  readonly #isSparse: boolean;
  readonly #count: number;
  #number = -1;
  #current: FileWriter | undefined;

  constructor(size: number, isSparse: boolean, open: (index: number) => FileWriter) {
    this.#open = open;
    this.#isSparse = isSparse;
    this.#count = Math.ceil(size / LEAVES_PER_PAYLOAD);
  }

  /** Positions come in order. */
  fileOf(position: number): FileWriter {
    const number = Math.floor((position - 1) / LEAVES_PER_PAYLOAD);
    while (this.#number < number) this.#next(!this.#isSparse || this.#number + 1 === number);
    return this.#current as FileWriter;
  }

  end(): void {
    while (this.#number < this.#count) this.#next(!this.#isSparse);
  }

  close(): void {
    this.#current?.close();
    this.#current = undefined;
  }

  #next(isWritten: boolean): void {
    const before = this.#current;
    this.#current = undefined;
    before?.end();
    this.#number += 1;
    if (this.#number >= this.#count || !isWritten) return;
    this.#current = this.#open(this.#number * LEAVES_PER_PAYLOAD);
  }
}
