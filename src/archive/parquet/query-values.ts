import type { DuckDBValueConverter, Json } from '@duckdb/node-api';

/** A value of a result as JSON has it. */
export type QueryValue = Json;

/** RFC 3339 with microseconds, as the feed has it. */
const instantOf = (micros: bigint): string => {
  const fraction = ((micros % 1_000n) + 1_000n) % 1_000n;
  const iso = new Date(Number((micros - fraction) / 1_000n)).toISOString();
  return `${iso.slice(0, -1)}${String(fraction).padStart(3, '0')}Z`;
};

const LAST_MICROS = 8_640_000_000_000_000_000n;

/** Integers as numbers if they are exact, else as texts; times as the feed has them; everything else as DuckDB's own JSON. */
export const queryValueConverter = ({
  JsonDuckDBValueConverter,
  DuckDBTimestampTZValue,
}: typeof import('@duckdb/node-api')): DuckDBValueConverter<QueryValue> => {
  const convert: DuckDBValueConverter<QueryValue> = (value, type, self) => {
    if (typeof value === 'bigint') {
      const number = Number(value);
      return Number.isSafeInteger(number) ? number : String(value);
    }
    if (value instanceof DuckDBTimestampTZValue && value.micros <= LAST_MICROS && value.micros >= -LAST_MICROS) {
      return instantOf(value.micros);
    }
    return JsonDuckDBValueConverter(value, type, self);
  };
  return convert;
};
