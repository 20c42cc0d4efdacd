/** What keeps a database from answering, as far as errors of the driver and of the server tell. */
export type DatabaseTrouble =
  | 'unreachable' // no connection, or one that broke
  | 'busy' // all connections are in use, of this process or of the server
  | 'slow'; // a statement had no answer in its time

/** Of a socket. */
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

/** Undefined for all other errors: bugs, a full disk, a missing right, a missing table. */
export const databaseTrouble = (error: unknown): DatabaseTrouble | undefined => {
  if (error instanceof AggregateError) {
    return error.errors.map(databaseTrouble).find((trouble) => trouble !== undefined);
  }
  if (!(error instanceof Error)) return undefined;
  const { code, syscall } = error as Error & { readonly code?: unknown; readonly syscall?: unknown };
  const name = String(code ?? '');
  if (error.message === POOL_IS_EMPTY || name === TOO_MANY_CONNECTIONS) return 'busy';
  if (error.message === NO_ANSWER || name === STATEMENT_CANCELED) return 'slow';
  const isBroken = brokenCodes.includes(name) || (syscall === 'connect' && name !== '');
  if (isBroken || refusedStates.test(name) || brokenWords.test(error.message)) return 'unreachable';
  return name === 'database_unreachable' ? 'unreachable' : undefined;
};
