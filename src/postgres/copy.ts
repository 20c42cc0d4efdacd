import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { type Pool, type PoolClient, Query } from 'pg';
import { abandonOnAbort, acquire, LONG_STATEMENT_TIMEOUT_MS, onConnection } from './pool.ts';

/** The signature, the flags and the length of a header extension that no version has. */
const HEADER_BYTES = 19;
const END_OF_DATA = -1;

/** What the driver's queries have beside what its types say; also what the stream library of its author builds on. */
interface CopyQuery {
  callback: (error: Error | null) => void;
  handleCopyData: (message: { readonly chunk: Buffer }) => void;
}

/**
 * Runs `COPY (query) TO STDOUT (FORMAT binary)` and hands each row to `take` as it comes. Three times as fast as rows of
 * the ordinary kind, since no value becomes a string on the way. Rejects with what `take` threw, after the last row; on abort with
 * AbandonedError, when the server has been told to stop.
 */
export const copyOut = async (
  pool: Pool,
  query: string,
  take: (row: BinaryRow) => void,
  signal?: AbortSignal,
): Promise<void> =>
  await onConnection(acquire(pool, signal), (client) =>
    abandonOnAbort(copyWithin(client, query, take, { signal }), signal),
  );

/**
 * As `copyOut`, on a connection that the caller has, within its transaction perhaps; it takes as long as it takes if it is `long`. After
 * an abort rows are no longer handed over, but the statement goes on until the caller closes the connection.
 */
export const copyWithin = async (
  client: PoolClient,
  query: string,
  take: (row: BinaryRow) => void,
  { signal, long = false }: { readonly signal?: AbortSignal | undefined; readonly long?: boolean } = {},
): Promise<void> => {
  let failure: { readonly error: unknown } | undefined;
  const reader = rowReader(take);
  await new Promise<void>((resolve, reject) => {
    const copy = new Query(`copy (${query}) to stdout (format binary)`) as Query & CopyQuery;
    if (long) Object.assign(copy, { query_timeout: LONG_STATEMENT_TIMEOUT_MS });
    copy.callback = (error) => (error === null ? resolve() : reject(error));
    copy.handleCopyData = ({ chunk }) => {
      // Also after an abort: what is still in the driver's buffer must not be written to memory that is lent to others.
      if (failure !== undefined || signal?.aborted === true) return;
      try {
        reader(chunk);
      } catch (error) {
        failure = { error };
      }
    };
    client.query(copy);
  });
  if (failure !== undefined) throw failure.error;
};

/** PostgreSQL sends one message per row; the header comes with the first, and the end is a message of its own. */
const rowReader = (take: (row: BinaryRow) => void): ((chunk: Buffer) => void) => {
  let offset = HEADER_BYTES;
  let starts = new Int32Array(0);
  let lengths = new Int32Array(0);
  return (bytes) => {
    const fields = bytes.length > offset ? bytes.readInt16BE(offset) : END_OF_DATA;
    if (fields !== END_OF_DATA) {
      if (starts.length !== fields) [starts, lengths] = [new Int32Array(fields), new Int32Array(fields)];
      const at = fieldsAt(bytes, offset + 2, starts, lengths);
      if (at !== bytes.length) throw new Error('a row of COPY does not end with its message');
      take({ bytes, starts, lengths });
    }
    offset = 0;
  };
};

/** One row of `COPY … TO STDOUT (FORMAT binary)`. Valid only while it is handed over: the driver uses its buffer again. */
export interface BinaryRow {
  readonly bytes: Buffer;
  /** Per field where its value starts in `bytes`, and how long it is: -1 for null. */
  readonly starts: Int32Array;
  readonly lengths: Int32Array;
}

const LENGTH_BYTES = 4;

/** Finds as many fields as the arrays have room for, the first one's length at `start`. Returns where the last one ends. */
export const fieldsAt = (bytes: Buffer, start: number, starts: Int32Array, lengths: Int32Array): number => {
  let at = start;
  for (let field = 0; field < starts.length; field += 1) {
    const length = bytes.readInt32BE(at);
    at += LENGTH_BYTES;
    starts[field] = at;
    lengths[field] = length;
    if (length > 0) at += length;
  }
  return at;
};

/** What the driver's connection has beside what its types say. */
interface CopyConnection {
  readonly stream: Writable;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
  sendCopyFail(message: string): void;
}

/** Runs `COPY … FROM STDIN` on a connection that the caller has, with these bytes, no faster than the server takes them. It takes as long as it takes. */
export const copyIn = async (client: PoolClient, statement: string, bytes: AsyncIterable<Buffer>): Promise<void> => {
  let sending: Promise<void> | undefined;
  const over = new AbortController();
  const send = async (connection: CopyConnection): Promise<void> => {
    try {
      for await (const chunk of bytes) {
        if (over.signal.aborted) return;
        connection.sendCopyFromChunk(chunk);
        if (connection.stream.writableNeedDrain) await once(connection.stream, 'drain', { signal: over.signal });
      }
      connection.endCopyFrom();
    } catch (error) {
      if (!over.signal.aborted) connection.sendCopyFail('what was to be copied cannot be read');
      throw error;
    }
  };
  await new Promise<void>((resolve, reject) => {
    const copy = new Query(statement) as Query & {
      callback: (error: Error | null) => void;
      handleCopyInResponse: (connection: CopyConnection) => void;
    };
    Object.assign(copy, { query_timeout: LONG_STATEMENT_TIMEOUT_MS });
    copy.callback = (error) => (error === null ? resolve() : reject(error));
    copy.handleCopyInResponse = (connection) => {
      sending = send(connection);
      sending.catch(() => {});
    };
    client.query(copy);
  }).finally(() => over.abort());
  await sending;
};
