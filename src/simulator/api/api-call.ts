import type { Occasion, Operation } from '../faults/fault-plan.ts';
import type { SourceRef } from '../world/source.ts';
import type { Caller } from './credentials.ts';

/** One admitted call: what is asked for, by whom. */
export interface ApiCall {
  readonly method: string;
  readonly operation: Operation;
  /** The organization or account in the path. */
  readonly source: SourceRef | undefined;
  /** The entry whose history is asked for. */
  readonly entryId: string | undefined;
  readonly query: URLSearchParams;
  readonly caller: Caller;
  readonly occasion: Occasion;
}
