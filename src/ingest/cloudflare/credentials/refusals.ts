import type { ApiError } from '../../../errors.ts';
import type { Credential, CredentialSource } from '../credential.ts';

/** A credential that is not taken at all is retried after so long, one that may not do something after an hour. */
const BROKEN_REST_MS = 60_000;
const REFUSED_REST_MS = 3_600_000;

interface Refusal {
  readonly error: ApiError;
  readonly credential: Credential;
  readonly untilMs: number;
}

/** What credentials were refused lately, so that they are not asked for each page. Of a credential that was renewed nothing is known. */
export interface Refusals {
  /** Why it is not worth trying now; undefined: it is. `what`: one thing that it was refused. */
  why(named: Named, what: string): ApiError | undefined;
  /** It may not do this. */
  refused(named: Named, what: string, error: ApiError): void;
  /** It is not taken, whatever is asked for. */
  broken(named: Named, error: ApiError): void;
  /** It was answered. */
  answered(named: Named, what: string): void;
}

interface Named {
  readonly name: string;
  readonly source: CredentialSource;
}

/** `nowMs` never goes back. */
export const createRefusals = (nowMs: () => number): Refusals => {
  const known = new Map<string, Refusal>();
  const put = ({ source }: Named, key: string, error: ApiError, restMs: number): void => {
    known.set(key, { error, credential: source.current(), untilMs: nowMs() + restMs });
  };
  const inForce = ({ source }: Named, key: string): ApiError | undefined => {
    const found = known.get(key);
    if (found === undefined) return undefined;
    if (found.credential === source.current() && nowMs() < found.untilMs) return found.error;
    known.delete(key);
    return undefined;
  };
  return {
    why: (named, what) => inForce(named, named.name) ?? inForce(named, keyOf(named, what)),
    refused: (named, what, error) => put(named, keyOf(named, what), error, REFUSED_REST_MS),
    broken: (named, error) => put(named, named.name, error, BROKEN_REST_MS),
    answered: (named, what) => {
      known.delete(named.name);
      known.delete(keyOf(named, what));
    },
  };
};

const keyOf = ({ name }: Named, what: string): string => `${name} ${what}`;
