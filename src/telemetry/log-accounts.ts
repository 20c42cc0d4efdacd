import type { Logger } from 'pino';
import type { SyncObserver } from '../ingest/sync/ports.ts';
import { onceADay } from './once-a-day.ts';

const worrying: readonly string[] = ['gone', 'refused', 'left'];
const what: Readonly<Record<string, string>> = {
  left: ': no listing that is read shows it any more; its audit log answers, and is read on',
};
/** More new accounts than this in one tick are one line: at the first start all of them are new. */
const MAX_LINES = 5;

/** Logs listings of accounts that fail, and what becomes of accounts. */
export const logAccounts = (
  logger: Logger,
  nowMs: () => number,
  nameOf: (accountId: string) => string | undefined,
): Pick<SyncObserver, 'accountChanged' | 'accountListingEmpty' | 'accountListingFailed' | 'accountsListed'> => {
  let appeared: string[] = [];
  let empty: string[] = [];
  const mayWarn = onceADay(nowMs);
  const named = (accountId: string) => ({ accountId, name: nameOf(accountId) });
  return {
    accountChanged: ({ accountId, change }) => {
      if (change === 'appeared') appeared.push(accountId);
      else
        logger[worrying.includes(change) ? 'warn' : 'info'](named(accountId), `account ${change}${what[change] ?? ''}`);
    },
    accountsListed: ({ appeared: news, accounts }) => {
      const ids = appeared;
      appeared = [];
      if (empty.length > 0) {
        logger.info(
          { listings: empty.length, first: empty.slice(0, MAX_LINES) },
          'listings of accounts are empty: nothing is missed by them until they are empty again, after a pause',
        );
      }
      empty = [];
      if (ids.length > 0 && news === accounts) {
        logger.info(
          { accounts, requestsAtLeast: accounts },
          'the audit logs of accounts are read from now on, with at least one request for the history of each; ORGTRAIL_SOURCES=organizations turns this off',
        );
      }
      if (ids.length > MAX_LINES) {
        logger.info(
          { accounts: ids.length, first: ids.slice(0, MAX_LINES).map((id) => nameOf(id) ?? id) },
          `${ids.length} accounts appeared`,
        );
      } else for (const accountId of ids) logger.info(named(accountId), 'account appeared');
    },
    accountListingEmpty: ({ scope }) => {
      if (mayWarn(`${scope} empty`)) empty.push(scope);
    },
    accountListingFailed: ({ scope, error }) => {
      const facts = { scope, failure: error.failure, reason: error.message };
      if (mayWarn(`${scope} ${error.failure}`)) logger.warn(facts, 'listing accounts failed; will retry after a pause');
      else logger.debug(facts, 'listing accounts failed again');
    },
  };
};
