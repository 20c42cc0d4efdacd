/** Columns by name, a value for each row: bytes of UTF-8, a number, or null. Times are microseconds since 1970. */
export type ArchivedColumns<Name extends string> = Readonly<Record<Name, ArrayLike<unknown>>>;

/** Some thousand archived events, in order of position. */
export interface ArchivedGroup {
  /** No other group has it. */
  readonly name: string;
  readonly month: string;
  readonly rows: number;
  readonly firstPosition: number;
  readonly lastPosition: number;
  /** In microseconds since 1970. */
  readonly firstTime: bigint;
  readonly lastTime: bigint;
  /** False only if no row has exactly this value, as statistics say. */
  mayHave(column: string, value: string): boolean;
  columns<Name extends string>(names: readonly Name[], signal?: AbortSignal): Promise<ArchivedColumns<Name>>;
  /** Values for these rows alone, in their order, which must be ascending: it takes less time and memory. */
  columnsOfRows<Name extends string>(
    names: readonly Name[],
    rows: readonly number[],
    signal?: AbortSignal,
  ): Promise<ArchivedColumns<Name>>;
}

/** A later content of an archived event. */
interface ArchivedChange {
  readonly position: number;
  /** In microseconds since 1970. */
  readonly seenAt: bigint;
  readonly rawText: string;
}

/** Months that are in the archive alone. What cannot be believed or read rejects with OrgtrailError `archive_unreadable`. */
export interface ArchivedMonths {
  /** Of a month such as `2024-01`; with an organization, those that may have events of it. */
  groups(month: string, organization: string | undefined): Promise<readonly ArchivedGroup[]>;
  /** Those that may have the position. */
  groupsAt(position: number): Promise<readonly ArchivedGroup[]>;
  /** The positions of the events of a month that have a later content. */
  changed(month: string): Promise<ReadonlySet<number>>;
  /** In the order in which they were seen. */
  changesOf(month: string, position: number): Promise<readonly ArchivedChange[]>;
  close(): Promise<void>;
}
