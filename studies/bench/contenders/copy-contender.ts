import type { Socket } from 'node:net';
import { Client, Query } from 'pg';
import { findArray } from '../../../src/ingest/entries/json-bytes.ts';
import { type ApiEntry, rowColumns, rowOf } from '../event-row.ts';
import { apiPages } from '../served/api-pages.ts';
import type { Contender } from './contender.ts';

/** What the driver's queries and connections have beside what its types say. */
interface CopyQuery {
  callback: (error: Error | null) => void;
  handleCopyInResponse: (connection: CopyConnection) => void;
}
interface CopyConnection {
  readonly stream: Socket;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
}

/** A COPY statement with a whole page of rows made beforehand: one for each page, on so many connections. */
export const copyContender = (connections: number): Contender => {
  let clients: readonly Client[] = [];
  let preparedFor = '';
  let pages: readonly { readonly rows: number; readonly text: Buffer }[] = [];
  return {
    prepare: async ({ databaseUrl, baseUrl, organizations }) => {
      if (preparedFor === `${databaseUrl} ${baseUrl}`) return;
      preparedFor = `${databaseUrl} ${baseUrl}`;
      await Promise.all(clients.map((client) => client.end()));
      clients = Array.from({ length: connections }, () => new Client(databaseUrl));
      await Promise.all(clients.map((client) => client.connect()));
      pages = await rowsOfPages(baseUrl, organizations, await lastPosition(clients));
    },
    run: async () => {
      let next = 0;
      let rows = 0;
      const work = async (client: Client) => {
        for (let page = pages[next++]; page !== undefined; page = pages[next++]) {
          await copyIn(client, page.text);
          rows += page.rows;
        }
      };
      await Promise.all(clients.map(work));
      return rows;
    },
    close: async () => void (await Promise.all(clients.map((client) => client.end()))),
  };
};

const copyIn = (client: Client, text: Buffer): Promise<void> =>
  new Promise((resolve, reject) => {
    const copy = new Query(`copy audit_events (${rowColumns.join(', ')}) from stdin`) as Query & CopyQuery;
    copy.callback = (error) => (error === null ? resolve() : reject(error));
    copy.handleCopyInResponse = (connection) => {
      connection.sendCopyFromChunk(text);
      connection.endCopyFrom();
    };
    client.query(copy);
  });

/** Of all rows: the new ones go to the end of the index of positions, as for all contenders. */
const lastPosition = async ([client]: readonly Client[]): Promise<number> =>
  (await client?.query('select coalesce(max(position), 0)::float8 as position from audit_events'))?.rows[0]?.position ??
  0;

const rowsOfPages = async (baseUrl: string, organizations: readonly string[], after: number) => {
  const pages: { rows: number; text: Buffer }[] = [];
  let position = after;
  for await (const { organizationId, text } of apiPages(baseUrl, organizations)) {
    const { result } = JSON.parse(text) as { result: readonly ApiEntry[] };
    const spans = findArray(text, 'result')?.elements ?? [];
    const lines = result.map((entry, index) => {
      const { start = 0, end = 0 } = spans[index] ?? {};
      position += 1;
      return `${rowOf(entry, organizationId, position, text.slice(start, end)).map(copyField).join('\t')}\n`;
    });
    pages.push({ rows: result.length, text: Buffer.from(lines.join('')) });
  }
  return pages;
};

const copyEscapes: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };

const copyField = (value: unknown): string =>
  value === null || value === undefined ? '\\N' : String(value).replace(/[\\\t\n\r]/g, (c) => copyEscapes[c] ?? c);
