import { existsSync, readFileSync } from 'node:fs';

/** One attribute of an OCSF class or object. With a profile, it is there only where the event names that profile. */
export interface OcsfAttribute {
  readonly type: string;
  readonly object_type?: string;
  readonly requirement: 'required' | 'recommended' | 'optional';
  readonly is_array: boolean;
  readonly enum?: Readonly<Record<string, string>>;
  readonly sibling?: string;
  readonly profile?: string;
}

export interface OcsfObject {
  readonly attributes: Readonly<Record<string, OcsfAttribute>>;
  readonly constraints: { readonly at_least_one?: readonly string[]; readonly just_one?: readonly string[] } | null;
}

export interface OcsfSchema {
  readonly version: string;
  readonly classes: Readonly<Record<string, OcsfObject & { readonly uid: number }>>;
  readonly objects: Readonly<Record<string, OcsfObject>>;
  readonly types: Readonly<
    Record<
      string,
      {
        readonly type: string | null;
        readonly regex: string | null;
        readonly max_len: number | null;
        readonly range: readonly [number, number] | null;
      }
    >
  >;
}

export interface EcsField {
  readonly type: string;
  readonly isArray: boolean;
}

/**
 * Data of other projects, which this repository does not hold: the classes and objects of OCSF 1.5.0 as JSON, and the
 * field list of the Elastic Common Schema (its `fields.csv`), in a folder beside the checkout.
 */
const folder = new URL('../../../../shared/reference/', import.meta.url);

const read = (name: string): string | undefined => {
  const file = new URL(name, folder);
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
};

/** Why a test of a schema is skipped. */
export const missingReason = 'SKIPPED: the official schema data is not beside this checkout (../shared/reference)';

/** Undefined where the data is not there. */
export const readOcsfSchema = (): OcsfSchema | undefined => {
  const text = read('ocsf-1.5.0-subset.json');
  return text === undefined ? undefined : JSON.parse(text);
};

/** Rows of a CSV file with quoted cells, which may hold line breaks. */
const csvRows = (text: string): string[][] => {
  const rows: string[][] = [[]];
  for (const [, quoted, plain = '', end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/g)) {
    rows.at(-1)?.push(quoted?.replaceAll('""', '"') ?? plain);
    if (end !== ',') rows.push([]);
  }
  return rows.filter((row) => row.length > 1);
};

/** By name; undefined where the data is not there. */
export const readEcsFields = (): ReadonlyMap<string, EcsField> | undefined => {
  const text = read('ecs-fields.csv');
  if (text === undefined) return undefined;
  const [header = [], ...rows] = csvRows(text);
  const [field, type, normalization] = ['Field', 'Type', 'Normalization'].map((name) => header.indexOf(name));
  return new Map(
    rows.map((row) => [
      row[field as number] as string,
      { type: row[type as number] as string, isArray: row[normalization as number] === 'array' },
    ]),
  );
};
