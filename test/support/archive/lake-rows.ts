type JsonObject = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A row as Parquet has it, without what it has no value for. */
export const withoutNulls = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (!isObject(value)) return value;
  const entries = Object.entries(value).filter(([, inner]) => inner !== null);
  return Object.fromEntries(entries.map(([name, inner]) => [name, withText(name, withoutNulls(inner))]));
};

/** What is a text of JSON there, as its value. */
const withText = (name: string, value: unknown): unknown =>
  (name === 'data' || name === 'unmapped') && typeof value === 'string' ? { json: JSON.parse(value) } : value;

/** What such a row must be, of a line of the format ocsf. */
export const asRead = (line: string): unknown => {
  const { unmapped, api, ...event } = JSON.parse(line);
  const { request, response, ...call } = api;
  const withJson = ({ data, ...part }: JsonObject) => ({
    ...part,
    ...(data !== undefined && { data: { json: data } }),
  });
  return {
    ...event,
    unmapped: { json: unmapped },
    api: { ...call, ...(request && { request: withJson(request) }), ...(response && { response: withJson(response) }) },
  };
};
