import { DatabaseError } from 'pg';
import { OrgtrailError, reasonOf } from '../base/errors.ts';
import { EVIDENCE_ROLE, evidenceCalls, evidenceTables, SALTS } from './role-rights.ts';

const dataFaultClasses = ['22', '54'];

/** SQLSTATE of an error of the server; undefined for faults of the connection and for bugs. */
export const sqlState = (error: unknown): string | undefined => {
  const code = error instanceof Error ? (error as Error & { code?: unknown }).code : undefined;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
};

/** A value that passes 1 GB on the way (jsonb with millions of members) is an internal error: never translated, without a code. */
const isTooMuchForOneValue = (error: unknown): boolean =>
  sqlState(error) === 'XX000' &&
  error instanceof Error &&
  error.message.startsWith('invalid memory alloc request size');

/** What to do if the account lacks a right (SQLSTATE 42501); undefined for any other error. */
export const explainForbidden = (error: unknown): OrgtrailError | undefined => {
  if (sqlState(error) !== '42501' || !(error instanceof Error)) return undefined;
  const [, name = ''] = /(?:table|function|view) (?:public\.)?"?([a-z0-9_]+)/.exec(error.message) ?? [];
  const ofEvidence = `${evidenceCalls}, ${evidenceTables.join(', ')}, ${SALTS}`.split(', ').includes(name);
  const role = ofEvidence ? EVIDENCE_ROLE : 'orgtrail_ingest (or for reading orgtrail_reader)';
  return new OrgtrailError('configuration', `the database account may not do this: ${error.message}`, {
    hint: `as the owner run \`orgtrail migrate --roles\`, then grant ${role} to the account`,
    cause: error,
  });
};

/** For what only the owner of the schema may do: an account without that right is told so, and not to get the rights of a daemon. */
export const asOwner = <T>(what: string, asked: Promise<T>): Promise<T> =>
  asked.catch((error: unknown) => {
    if (sqlState(error) !== '42501') throw error;
    throw new OrgtrailError('configuration', `this account may not ${what}`, {
      hint: 'run it with a DATABASE_URL of the account that owns the schema',
      cause: error,
    });
  });

/** What a server says that goes away, comes up, is read-only or full, or that lost a race: the same statement may work in a moment. */
const PASSING_STATES = /^(08|40|57P)|^(25006|53300|55P03)$/;

/** True if the server answered a statement with a refusal that stays: a right that is missing, a function, a rule that it breaks. */
export const isRefusal = (error: unknown): boolean =>
  error instanceof DatabaseError && error.code !== undefined && !PASSING_STATES.test(error.code);

/** True if the server refused the data itself (class 22: data exception, 54: a limit such as the stack depth). */
export const isDataFault = (error: unknown): boolean =>
  dataFaultClasses.includes(sqlState(error)?.slice(0, 2) ?? '') || isTooMuchForOneValue(error);

/** What keeps a database from answering, as far as errors of the driver and of the server tell. */
type DatabaseTrouble =
  | 'unreachable' // no connection, or one that broke
  | 'busy' // all connections are in use, of this process or of the server
  | 'slow' // a statement had no answer in its time
  | 'full';

const brokenCodes = [
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EPIPE',
];
/** Of the driver, which has no codes for them. */
const brokenWords = /^(Connection terminated|Client has encountered a connection error|timeout expired)/;
const POOL_IS_EMPTY = 'timeout exceeded when trying to connect';
const NO_ANSWER = 'Query read timeout';
/** SQLSTATE: connection exceptions; refused to let in; no such database; the server shuts down, starts or has crashed. */
const refusedStates = /^(08\w{3}|28\w{3}|3D000|57P0[1-5])$/;
const TOO_MANY_CONNECTIONS = '53300';
const STATEMENT_CANCELED = '57014';

const DISK_FULL = '53100';
/** Also without a code: `could not write init file`, when a connection is made. */
const isDiskFull = ({ code, message }: Error & { readonly code?: unknown }): boolean =>
  code === DISK_FULL || /No space left on device|could not write init file/.test(message);

/** Undefined for all other errors: bugs, a missing right, a missing table. */
export const databaseTrouble = (error: unknown): DatabaseTrouble | undefined => {
  if (error instanceof AggregateError) {
    return error.errors.map(databaseTrouble).find((trouble) => trouble !== undefined);
  }
  if (!(error instanceof Error)) return undefined;
  const { code, syscall } = error as Error & { readonly code?: unknown; readonly syscall?: unknown };
  const name = String(code ?? '');
  if (isDiskFull(error)) return 'full';
  if (error.message === POOL_IS_EMPTY || name === TOO_MANY_CONNECTIONS) return 'busy';
  if (error.message === NO_ANSWER || name === STATEMENT_CANCELED) return 'slow';
  const isBroken = brokenCodes.includes(name) || (syscall === 'connect' && name !== '');
  if (isBroken || refusedStates.test(name) || brokenWords.test(error.message)) return 'unreachable';
  return name === 'database_unreachable' ? 'unreachable' : undefined;
};

/** Why the database refuses to write, and what to do: `cause` as docs/operations/troubleshooting.md has it. */
export interface DatabaseCause {
  readonly cause: string;
  readonly what: string;
  readonly action: string;
}

export const databaseCause = (error: unknown): DatabaseCause => {
  const said = reasonOf(error);
  const trouble = databaseTrouble(error);
  if (trouble === 'full') {
    const action = 'give it room: collection goes on by itself, and nothing is lost';
    return { cause: 'database_full', what: `the disk of the database is full: ${said}`, action };
  }
  if (sqlState(error) === READ_ONLY) {
    const action = 'lead DATABASE_URL to the primary, or end default_transaction_read_only';
    return { cause: 'database_read_only', what: `the database is read-only: ${said}`, action };
  }
  if (trouble === 'unreachable') {
    const action = 'check DATABASE_URL, that the server runs, and that it accepts this host';
    return { cause: 'database_unreachable', what: `the database does not answer: ${said}`, action };
  }
  return { cause: 'database_refuses', what: `the database refuses to write: ${said}`, action: '`orgtrail check`' };
};

const READ_ONLY = '25006';
