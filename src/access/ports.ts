import type { AccessNote, Scope } from './access.ts';

/** Who a request comes from, as far as that is known. */
export interface Identity {
  /** The name of the token, or ORGTRAIL_FEED_TOKEN; undefined: open on loopback. */
  readonly who: string | undefined;
  /** Signed in to the console. */
  readonly session: boolean;
}

/** A token of the database that opens something now. */
interface NamedToken {
  readonly id: number;
  readonly name: string;
  readonly scopes: readonly Scope[];
}

/** Proves to the database that a session began with its token: `access-log-proof.ts` makes both. */
export interface SessionProof {
  readonly token: Buffer;
  readonly session: Buffer;
}

/** What decides who gets in, and keeps what they got. Declared here: edges do not import each other. */
export interface AccessSource {
  /** The token of this text; undefined if there is none. A revoked one is none 10 s later. Rejects if the database does not answer. */
  tokenOf(text: string): Promise<NamedToken | undefined>;
  /** Whether there is any token in the database. False if that cannot be read. */
  hasTokens(): Promise<boolean>;
  /** Each rejects if the database does not answer. */
  readonly sessions: {
    start(session: {
      readonly key: Buffer;
      readonly tokenId: number | undefined;
      readonly seconds: number;
      /** What lets it read the trail of access, and set sinks back; undefined: of the token of the environment, which has none. */
      readonly proof: SessionProof | undefined;
    }): Promise<void>;
    /** The session of one of these keys; undefined if it has ended, by itself or with its token. */
    find(keys: readonly Buffer[]): Promise<{ readonly tokenName: string | null } | undefined>;
    end(keys: readonly Buffer[]): Promise<void>;
  };
  /** Appends to the trail of access. Neither throws nor waits. */
  note(note: AccessNote): void;
  /** Why no row of the trail could be written for minutes. */
  trouble(): string | undefined;
}
