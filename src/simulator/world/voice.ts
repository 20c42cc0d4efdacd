import type { SourceRef } from './source.ts';

/** Something that happens again and again in one audit log, with the ids of its source filled in. */
export interface Story {
  readonly description: string;
  readonly actionType: string;
  readonly method: string;
  readonly product: string;
  readonly resourceType: string;
  /** Empty: nothing is known of a request, and `raw` is empty. */
  readonly uri: string;
  /** True when the id of the resource is appended to the uri. */
  readonly hasId: boolean;
  /** JSON text of `resource.scope`. */
  readonly scope: string;
  /** JSON text of the member `zone`; absent: the entry has none. */
  readonly zone?: string;
  /** JSON texts of the actors of this story alone; absent: those of the voice. */
  readonly actors?: readonly string[];
  /** JSON text of the request payload, from three random words. */
  readonly request: (a: number, b: number, c: number) => string;
  readonly response: (b: number, c: number, d: number, id: string, time: string) => string;
}

/** What the entries of one audit log are made of, worked out once: the same people, the same resources. */
export interface Voice {
  /** Key of everything drawn for this log. */
  readonly key: number;
  readonly source: SourceRef;
  /** JSON text of the member `organization`, or `account`. */
  readonly ownerText: string;
  /** JSON texts of the member `actor`. */
  readonly actors: readonly string[];
  /** The same with values that no document has. */
  readonly strangeActors: readonly string[];
  readonly agents: readonly string[];
  readonly stories: readonly Story[];
}

/** JSON text of the answer of the API around a result. */
export function answerText(result: string): string {
  return `{"success":true,"errors":[],"messages":[],"result":${result}}`;
}
