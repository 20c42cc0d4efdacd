import type { Term } from '../terms/terms.ts';
import type { Actor } from './actor.ts';
import type { SpelledColumn } from './spelled-columns.ts';

export const enumerations = {
  action: 'action_type',
  result: 'action_result',
  product: 'resource_product',
  resourceType: 'resource_type',
} as const satisfies Readonly<Record<string, SpelledColumn>>;
export type Enumeration = keyof typeof enumerations;

/** By the column. Of what begins with something: without the spellings that are in small letters; missing if there are too many. */
type Spellings = Readonly<Partial<Record<SpelledColumn, readonly string[]>>>;

/** A search with its times made out: RFC 3339. What is undefined does not matter. */
export interface EventQuery {
  /** Inclusive. */
  readonly since: string | undefined;
  /** Exclusive. */
  readonly before: string | undefined;
  /** Its id. */
  readonly organization?: string | undefined;
  /** Its id. */
  readonly account?: string | undefined;
  /** Its id or its name. */
  readonly zone?: string | undefined;
  readonly actor?: Actor | undefined;
  readonly action?: string | undefined;
  readonly result?: string | undefined;
  readonly product?: string | undefined;
  readonly resourceType?: string | undefined;
  readonly resource?: string | undefined;
  readonly ray?: string | undefined;
  readonly text?: string | undefined;
  /** Organizations and accounts in it are ids. */
  readonly terms?: readonly Term[] | undefined;
  /** Of the enumerations and the actor: how they are spelled in stored events (`withSpellings`). */
  readonly spellings?: Spellings | undefined;
  /** Of all events with the ray id, if they are few (`withSpellings`). */
  readonly rayPositions?: readonly number[] | undefined;
  readonly defects: boolean;
  readonly changed: boolean;
  /** Months that are in the archive alone are searched as well. */
  readonly archive?: boolean | undefined;
  /** Of an entry in the logs of several accounts, the first that matches. */
  readonly copies?: 'first' | undefined;
  /** Only events up to here: what an export sees, however long it takes. */
  readonly untilPosition?: number | undefined;
}
