import type { PoolClient } from 'pg';
import { copyWithin } from '../../../postgres/copy/copy-out.ts';
import { EvidenceFault } from '../../evidence-fault.ts';
import type { Statement, StatementOf } from '../../journal/statement.ts';
import { readStatement } from '../../journal/statement-text.ts';
import { parseCheckpoint } from '../../notes/checkpoint.ts';
import { type LogName, parseOrigin } from '../../notes/origin.ts';
import { parseNote } from '../../notes/signed-note.ts';
import type { Anchor } from '../../verify/verify-anchors.ts';
import { field, integer } from '../copy-logs.sql.ts';
import type { ExportedLogs } from '../snapshot.sql.ts';

/** Whose events a bundle has. */
export interface OneSource {
  readonly kind: 'organization' | 'account';
  readonly id: string;
}

/** A statement that a bundle of one source has. */
export interface Disclosed {
  readonly index: number;
  readonly text: string;
  /** Undefined: it cannot be read, which the verifier says. */
  readonly statement: Statement | undefined;
}

/** Statements about the log itself, or about all of its sources. All others are hidden, also those of later versions. */
const common = ['genesis', 'fork', 'key', 'schema', 'timestamp', 'drop', 'jump', 'clock', 'end'];
const own = ['source', 'coverage', 'change', 'hold'];

/** The signed statements that a bundle of this source has, in order. */
export const readDisclosed = async (
  client: PoolClient,
  { generation, journal }: ExportedLogs,
  source: OneSource,
  signal: AbortSignal | undefined,
): Promise<Disclosed[]> => {
  const organizationId = await organizationOf(client, source);
  const changes = await readChanged(client, source);
  const quote = (text: string) => client.escapeLiteral(text);
  const ref = `${source.kind}/${source.id}`;
  // Most statements of a large journal are coverage of others: what they are about is in their names.
  const query = `select index, kind, ref, text from evidence_journal
    where generation = ${integer(generation)} and index < ${integer(journal.size)}
      and (kind in (${[...common, 'change', 'hold'].map(quote).join()}) or kind = 'source' and ref = ${quote(ref)}
        or kind = 'coverage' and starts_with(ref, ${quote(`${ref}/`)}))
    order by index`;
  const disclosed: Disclosed[] = [];
  await copyWithin(
    client,
    query,
    (row) => {
      const [kind, name, text] = [1, 2, 3].map((at) => field(row, at).toString()) as [string, string, string];
      const statement = statementOf(text);
      const isOwn = !own.includes(kind) || isAbout(statement, source, organizationId) || changes.has(`${kind} ${name}`);
      if (isOwn) disclosed.push({ index: Number(row.bytes.readBigInt64BE(row.starts[0])), text, statement });
    },
    { signal, long: true },
  );
  return disclosed;
};

/** Whether a statement is about this source, or is a hold that may have events of it. */
const isAbout = (statement: Statement | undefined, { kind, id }: OneSource, organizationId: string | null): boolean => {
  if (statement?.type === 'source') return statement.kind === kind && statement.id === id;
  if (statement?.type === 'coverage') return statement.source_kind === kind && statement.source_id === id;
  return statement?.type === 'hold' && isHoldOf(statement, { kind, id }, organizationId);
};

const isHoldOf = (
  { organization_id: organization, account_id: account }: StatementOf<'hold'>,
  { kind, id }: OneSource,
  organizationId: string | null,
): boolean => {
  if (organization === null && account === null) return true;
  if (kind === 'organization') return organization === id;
  return account === id || (account === null && organization === organizationId);
};

const statementOf = (text: string): Statement | undefined => {
  try {
    const read = readStatement(text);
    return read.known ? read.statement : undefined;
  } catch (error) {
    if (error instanceof EvidenceFault) return undefined;
    throw error;
  }
};

/** Of an account, as its `source` statement names it: a hold of that organization may have its events. */
const organizationOf = async (client: PoolClient, { kind, id }: OneSource): Promise<string | null> => {
  const { rows } = await client.query<{ text: string }>(
    `select text from evidence_journal where kind = 'source' and ref = $1 order by generation desc limit 1`,
    [`${kind}/${id}`],
  );
  const statement = rows[0] && statementOf(rows[0].text);
  return statement?.type === 'source' ? statement.organization_id : null;
};

/** The names of the statements about changed contents of this source. */
const readChanged = async (client: PoolClient, { kind, id }: OneSource): Promise<ReadonlySet<string>> => {
  const { rows } = await client.query<{ id: string }>(
    'select id::text as id from audit_event_changes where source_kind = $1 and source_id = $2',
    [kind, id],
  );
  return new Set(rows.map((row) => `change ${row.id}`));
};

interface Prefixes {
  readonly events: ReadonlySet<number>;
  readonly journal: ReadonlySet<number>;
}

/** The sizes at which these statements, and checkpoints that were kept, name the root of a log. */
export const prefixesOf = (
  disclosed: readonly Disclosed[],
  logs: ExportedLogs,
  anchors: readonly Anchor[],
): Prefixes => {
  const statements = disclosed.flatMap(({ statement }) => (statement === undefined ? [] : [statement]));
  const forks = statements.flatMap((one) => (one.type === 'fork' ? forkSizes(one) : []));
  const stamps = statements.flatMap((one) => (one.type === 'timestamp' ? [one.checkpoint.size] : []));
  const kept = (log: LogName) =>
    anchors.flatMap(({ note }) => anchorSize(note, log)).filter((size) => size <= logs[log].size);
  return {
    events: new Set([...statements.map(({ tree }) => tree.size), ...forks, ...kept('events')]),
    journal: new Set([...stamps, ...kept('journal')]),
  };
};

/** None of a file that cannot be read, or is of another log: that is for the verifier to say. */
const anchorSize = (note: Uint8Array, log: LogName): number[] => {
  try {
    const { origin, size } = parseCheckpoint(parseNote(note).text);
    return parseOrigin(origin).log === log ? [size] : [];
  } catch (error) {
    if (error instanceof EvidenceFault) return [];
    throw error;
  }
};

/** The last checkpoint of the generation before is compared as far as it is common. */
const forkSizes = ({ last_note: note, common_size: common }: StatementOf<'fork'>): number[] => {
  if (note === '') return [];
  const { size } = parseCheckpoint(parseNote(Buffer.from(note)).text);
  return size <= common ? [size] : [];
};
