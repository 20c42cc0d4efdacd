import { z } from 'zod';
import { flag, instant, operation } from '../base/operation.ts';
import { printable, table } from '../base/text.ts';
import type { Pool } from '../postgres/pool.ts';
import { readArchivePolicy, readCatalogue } from './catalogue.sql.ts';
import { thaw, thawRow } from './thaw/thaw-operation.ts';
import { readThaws } from './thaw/thaws.sql.ts';

const object = z.object({
  id: z.number(),
  archive: z.string(),
  key: z.string(),
  kind: z.string().describe('events, or changes that were found later.'),
  month: z.string().describe('Such as 2024-01.'),
  firstPosition: z.number(),
  lastPosition: z.number(),
  events: z.number().describe('Rows.'),
  bytes: z.number(),
  sha256: z.string(),
  idsSha256: z.string(),
  rawSha256: z.string(),
  columnsSha256: z.string(),
  versionId: z.string().nullable().describe('As the bucket calls these bytes; null: it keeps no versions.'),
  lockedUntil: instant.nullable(),
  writtenAt: instant,
  verifiedAt: z.string().nullable().describe('When it was read back; null: it is to be read again.'),
  fault: z.string().nullable(),
  droppedAt: instant.nullable().describe('Null: its events are in the database as well.'),
});

export const listArchive = operation({
  name: 'archive list',
  says: 'Show the catalogue: every object, what it holds, and when it was last read',
  path: '/v1/archive',
  tool: 'list_archive',
  needs: { scope: 'search' },
  help: `
Objects that others have taken the place of are not listed; they are still in the bucket and in the table archive_objects.
With --addresses it prints where each object of events is, for other query engines: docs/query.md.

Examples:
  $ orgtrail archive list
  $ orgtrail archive list --json | jq -r '.objects[] | [.month, .key, .sha256] | @tsv'
  $ orgtrail archive list --addresses > objects.txt`,
  input: z.strictObject({
    addresses: flag('only print the address of each object of events, one per line'),
  }),
  output: z.object({
    archive: z.string().nullable().describe('In use; null: months are dropped without one.'),
    objects: z.array(object).readonly().describe('By month.'),
    thaws: z.array(thaw).readonly().describe('Months that are thawed or were, the newest first; 50 at most.'),
  }),
  run: async ({ pool }: { readonly pool: Pool }) => {
    const [archive = null, objects, thaws] = await Promise.all([
      readArchivePolicy(pool),
      readCatalogue(pool),
      readThaws(pool),
    ]);
    return { archive, objects: objects.map(({ hasBounds: _, ...listed }) => listed), thaws };
  },
  show: ({ archive, objects, thaws }, { addresses }) => {
    if (addresses === true)
      return objects
        .filter(({ kind }) => kind === 'events')
        .map(addressOf)
        .join('');
    const inUse = `archive in use: ${archive ?? 'none, so months are dropped without one'}\n`;
    const thawed = thaws.length === 0 ? '' : `\n${table(thawHeader, thaws.map(thawRow))}`;
    return `${inUse}${objects.length === 0 ? 'no objects\n' : objectTable(objects)}${thawed}`;
  },
});

const thawHeader = ['THAW', 'STATE', 'EVENTS', 'TIME', 'ASKED BY', 'REASON'];

type Listed = z.output<typeof object>;

/** For other programs: a path, or bucket and key without the endpoint. */
const addressOf = ({ archive, key }: Listed): string =>
  `${archive.replace(/^file:\/\//, '').replace(/\?endpoint=.*$/, '')}/${key}\n`;

const objectTable = (objects: readonly Listed[]): string => {
  const rows = objects.map((listed) => [
    listed.month,
    listed.kind,
    listed.events.toLocaleString('en'),
    `${listed.firstPosition}-${listed.lastPosition}`,
    listed.bytes.toLocaleString('en'),
    stateOf(listed),
    listed.verifiedAt ?? '-',
    printable(`${listed.archive} ${listed.key}`, 200),
  ]);
  const header = ['MONTH', 'KIND', 'ROWS', 'POSITIONS', 'BYTES', 'STATE', 'READ BACK', 'OBJECT'];
  return table(header, rows);
};

const stateOf = ({ fault, droppedAt }: Listed): string => {
  if (fault !== null) return `fault: ${printable(fault, 60)}`;
  return droppedAt === null ? 'in the database as well' : 'in the archive alone';
};
