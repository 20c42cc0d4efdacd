import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { Reader, type Response } from 'mmdb-lib';
import { ipVersion } from './addresses.ts';
import { OrgtrailError, reasonOf } from './errors.ts';

export interface Place {
  /** Two letters, ISO 3166-1. */
  readonly country: string | null;
  /** `AS13335` */
  readonly asn: string | null;
  /** Who operates that autonomous system. */
  readonly network: string | null;
}

export type Geoip = ReturnType<typeof openGeoip>;

interface Loaded {
  readonly stamp: string;
  readonly name: string;
  readonly reader: Reader<Response>;
}

/** Files in the form of MaxMind DB, of MaxMind, DB-IP, IPinfo or others; what one does not say, the next one may. Nothing is read before `refresh`. */
export const openGeoip = (paths: readonly string[]) => {
  const loaded = new Map<string, Loaded>();
  return {
    /** Reads files that have changed. Throws for one that cannot be used; what was read of it before stays in use. */
    refresh: async (): Promise<void> => {
      for (const path of paths) {
        try {
          const { size, mtimeMs, ino } = await stat(path);
          const stamp = `${size} ${mtimeMs} ${ino}`;
          if (loaded.get(path)?.stamp === stamp) continue;
          const content = await readFile(path);
          const reader = new Reader<Response>(content);
          reader.get('192.0.2.1');
          loaded.set(path, { stamp, reader, name: nameOf(reader, content) });
        } catch (error) {
          throw new OrgtrailError('configuration', `ORGTRAIL_GEOIP: ${path} cannot be used: ${reasonOf(error)}`, {
            hint: 'it must be a readable file in the form of MaxMind DB (.mmdb); replace it by a rename',
          });
        }
      }
    },
    /** What is in use: type, time and hash of each file. Undefined before one could be read. */
    files: (): string | undefined =>
      loaded.size === 0 ? undefined : [...loaded.values()].map(({ name }) => name).join(', '),
    /** Undefined if no file knows the address. Throws for a file that is broken there. */
    placeOf: (text: string): Place | undefined => {
      const address = mapped.exec(text)?.[1] ?? text;
      const version = ipVersion(address);
      if (version === undefined) return undefined;
      const place: { -readonly [Name in keyof Place]: string | null } = { country: null, asn: null, network: null };
      for (const { reader } of loaded.values()) {
        if (version > reader.metadata.ipVersion) continue;
        const record: unknown = reader.get(address);
        for (const name of ['country', 'asn', 'network'] as const) place[name] ??= readers[name](record);
      }
      return Object.values(place).some((value) => value !== null) ? place : undefined;
    },
  };
};

/** Files of some makers have these addresses as IPv4 alone. */
const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

const nameOf = ({ metadata: { databaseType, buildEpoch } }: Reader<Response>, content: Buffer): string =>
  `${databaseType} of ${buildEpoch.toISOString()} (${createHash('sha256').update(content).digest('hex').slice(0, 12)})`;

/** By the names of MaxMind and DB-IP, and by those of IPinfo. */
const readers: Readonly<Record<keyof Place, (record: unknown) => string | null>> = {
  country: (record) =>
    [['country', 'iso_code'], ['registered_country', 'iso_code'], ['country_code'], ['country']]
      .map((path) => valueAt(record, path))
      .find((value): value is string => typeof value === 'string' && /^[A-Z]{2}$/.test(value)) ?? null,
  asn: (record) => {
    const found = valueAt(record, ['autonomous_system_number']) ?? valueAt(record, ['asn']);
    const [, digits] = /^(?:AS)?(\d{1,10})$/.exec(String(found)) ?? [];
    return digits === undefined ? null : `AS${digits}`;
  },
  network: (record) => {
    const found = valueAt(record, ['autonomous_system_organization']) ?? valueAt(record, ['as_name']);
    return typeof found === 'string' && found !== '' ? found.replaceAll('\0', '').slice(0, 200).toWellFormed() : null;
  },
};

const valueAt = (value: unknown, path: readonly string[]): unknown =>
  path.reduce<unknown>(
    (inner, name) =>
      typeof inner === 'object' && inner !== null ? (inner as Readonly<Record<string, unknown>>)[name] : undefined,
    value,
  );
