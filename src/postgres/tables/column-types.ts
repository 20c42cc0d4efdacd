import { sql } from 'drizzle-orm';
import { bigint, customType } from 'drizzle-orm/pg-core';
import { types } from 'pg';

const parseInstant: (text: string) => Date = types.getTypeParser(types.builtins.TIMESTAMPTZ);

/** `timestamptz`, as a Date to the millisecond. An infinite time is no Date: a statement must select it as text. */
export const instant = customType<{ data: Date; driverData: string }>({
  dataType: () => 'timestamp with time zone',
  fromDriver: parseInstant,
  toDriver: (value) => value.toISOString(),
});

/** A 64-bit number, exact up to 2^53. */
export const integer64 = (name: string) => bigint(name, { mode: 'number' });

/** The driver parses what it reads: drizzle's own type would parse a string that JSON holds once more. */
const jsonType = (type: 'json' | 'jsonb') =>
  customType<{ data: unknown }>({ dataType: () => type, toDriver: (value) => JSON.stringify(value) });

export const json = jsonType('json');
export const jsonb = jsonType('jsonb');

export const bytea = customType<{ data: Buffer }>({ dataType: () => 'bytea' });

/** The time of the database at the moment of the statement: the default of all times of its own. */
export const databaseTime = sql<Date>`clock_timestamp()`;
