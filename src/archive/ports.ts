import type { Pool } from '../postgres/pool.ts';
import type { CataloguedObject } from './catalogue.sql.ts';
import type { ObjectKind } from './columns.ts';
import type { Month } from './month-rows.sql.ts';
import type { ParquetVersion } from './parquet/write-parquet.ts';
import type { ObjectStore } from './store/ports.ts';

/** How much goes into one object. */
export interface ObjectLimits {
  readonly maxRows: number;
  /** Of the rows as text: usually a tenth of that is in the object. */
  readonly maxTextBytes: number;
}

/** Hears what is done, for logs and progress. */
export interface ArchiveObserver {
  written?(object: WrittenObject): void;
  /** It was in the catalogue, and still has the bytes that it must have. */
  proven?(object: CataloguedObject): void;
  /** It has not: what it held is written again. */
  faulty?(object: CataloguedObject, fault: string): void;
}

interface WrittenObject {
  readonly month: Month;
  readonly kind: ObjectKind;
  readonly key: string;
  readonly events: number;
  readonly bytes: number;
}

export interface ArchiveContext {
  readonly pool: Pool;
  readonly store: ObjectStore;
  readonly observer?: ArchiveObserver;
  readonly limits?: ObjectLimits;
  /** Of objects that are written. Default 2. */
  readonly parquetVersion?: ParquetVersion;
}
