import { type Connection, type Pool, Query, type QueryResult, type QueryResultRow } from 'pg';
import { onConnection } from './pool.ts';

/** What the driver's queries and connections have beside what its types say. */
interface ExtendedQuery {
  callback: (error: Error | null, result: QueryResult) => void;
  prepare: (connection: Connection) => void;
}

const BIND = 0x42;
/** A message that is copied: to give a socket a hundred pieces costs more. */
const SMALL_BYTES = 200_000;
const TEXT_FORMAT = 0;
const BINARY_FORMAT = 1;

/** A parameter: its text, or the binary format of its type. */
export type PageParameter = string | number | boolean | null | Buffer | readonly (string | number)[];

/**
 * Runs a statement whose parameters are large. The driver would copy them into a message that grows with each of them, several
 * megabytes of memory a page; here they go to the socket as they are. They must stay as they are until this resolves; if it
 * rejects, the connection is closed, and may still be reading from them. Errors are those of `Pool.query`.
 */
export const pageQuery = async <Row extends QueryResultRow>(
  pool: Pool,
  text: string,
  parameters: readonly PageParameter[],
): Promise<QueryResult<Row>> =>
  await onConnection(
    pool.connect(),
    (client) =>
      new Promise<QueryResult<Row>>((resolve, reject) => {
        const query = new Query({ text, queryMode: 'extended' } as { text: string }) as Query & ExtendedQuery;
        query.callback = (error, rows) => (error === null ? resolve(rows as QueryResult<Row>) : reject(error));
        query.prepare = (connection) => {
          connection.parse({ name: '', text, types: [] }, true);
          for (const piece of bindMessage(parameters)) connection.stream.write(piece);
          connection.describe({ type: 'P', name: '' }, true);
          connection.execute({ portal: '' }, true);
          connection.sync();
        };
        client.query(query);
      }),
  );

/** The message that gives the parameters to the unnamed statement: in one piece if it is small, else in many, none of them copied. */
const bindMessage = (parameters: readonly PageParameter[]): readonly Buffer[] => {
  const values = parameters.map((value) =>
    value === null || Buffer.isBuffer(value) ? value : Buffer.from(textOf(value)),
  );
  // Two empty names, how many formats, these, how many parameters; at the end one format for all columns of the result.
  const head = Buffer.alloc(5 + 2 + 2 + values.length * 2 + 2);
  let at = 7;
  at = head.writeInt16BE(values.length, at);
  for (const parameter of parameters)
    at = head.writeInt16BE(Buffer.isBuffer(parameter) ? BINARY_FORMAT : TEXT_FORMAT, at);
  head.writeInt16BE(values.length, at);
  const end = Buffer.alloc(4);
  end.writeInt16BE(1, 0);
  end.writeInt16BE(TEXT_FORMAT, 2);
  const pieces = [head, ...values.flatMap((value) => [lengthOf(value), ...(value === null ? [] : [value])]), end];
  head[0] = BIND;
  const size = pieces.reduce((sum, { length }) => sum + length, 0);
  head.writeInt32BE(size - 1, 1);
  return size <= SMALL_BYTES ? [Buffer.concat(pieces, size)] : pieces;
};

const lengthOf = (value: Buffer | null): Buffer => {
  const length = Buffer.alloc(4);
  length.writeInt32BE(value?.length ?? -1, 0);
  return length;
};

const textOf = (value: Exclude<PageParameter, null | Buffer>): string =>
  typeof value === 'object'
    ? `{${value.map((element) => (typeof element === 'number' ? element : `"${element.replace(/["\\]/g, '\\$&')}"`)).join(',')}}`
    : String(value);
