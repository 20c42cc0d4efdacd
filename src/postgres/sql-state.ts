import { DatabaseError } from 'pg';
import { OrgtrailError } from '../errors.ts';
import { EVIDENCE_ROLE, evidenceCalls, evidenceTables, SALTS } from './schema/role-rights.ts';

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
