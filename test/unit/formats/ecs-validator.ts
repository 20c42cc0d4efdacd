import { isIP } from 'node:net';
import type { EcsField } from '../../support/formats/schema-facts.ts';

const isText = (value: unknown): boolean => typeof value === 'string' && value.isWellFormed() && !value.includes('\0');
const date = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;
const typeTests: Readonly<Record<string, (value: unknown) => boolean>> = {
  keyword: isText,
  wildcard: isText,
  match_only_text: isText,
  long: Number.isSafeInteger,
  ip: (value) => typeof value === 'string' && isIP(value) !== 0 && !value.includes('%'),
  date: (value) => typeof value === 'string' && date.test(value) && !Number.isNaN(Date.parse(value)),
};

/** Leaves of a document by their dotted names; a list is a leaf. */
const leaves = (value: object, prefix = ''): [string, unknown][] =>
  Object.entries(value).flatMap(([key, inner]): [string, unknown][] =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? leaves(inner, `${prefix}${key}.`)
      : [[`${prefix}${key}`, inner]],
  );

/** Checks documents against Elastic's list of fields, and fields of their own for types that never change. */
export class EcsValidator {
  readonly #fields: ReadonlyMap<string, EcsField>;
  readonly #customTypes = new Map<string, string>();

  constructor(fields: ReadonlyMap<string, EcsField>) {
    this.#fields = fields;
  }

  /** What is wrong with a document; empty where nothing is. */
  validate(document: object): readonly string[] {
    const found = leaves(document);
    const names = new Map(found);
    const missing = ['@timestamp', 'ecs.version', 'event.kind', 'event.category', 'event.type', 'event.outcome'];
    return [
      ...missing.filter((name) => !names.has(name)).map((name) => `${name} is missing`),
      ...this.#categories(names.get('event.category') as string[], names.get('event.type') as string[]),
      ...found.flatMap(([name, value]) =>
        name.startsWith('cloudflare.audit.') ? this.#custom(name, value) : this.#official(name, value),
      ),
    ];
  }

  #categories(categories: readonly string[], types: readonly string[]): string[] {
    const allowed = this.#fields.get('event.category')?.allowed_values ?? [];
    const expected = allowed.flatMap(({ name, expected_event_types: expectedTypes = [] }) =>
      categories.includes(name) ? expectedTypes : [],
    );
    return types.filter((type) => !expected.includes(type)).map((type) => `${type} is no type of ${categories}`);
  }

  #official(name: string, value: unknown): string[] {
    const field = this.#fields.get(name);
    if (field === undefined) return [`${name} is no field`];
    const isList = field.normalize.includes('array');
    if (Array.isArray(value) !== isList) return [`${name} is ${isList ? 'no' : 'a'} list`];
    const test = typeTests[field.type];
    const values = Array.isArray(value) ? value : [value];
    if (test === undefined || !values.every(test)) return [`${name} ${value} is no ${field.type}`];
    const allowed = field.allowed_values?.map((each) => each.name);
    return values.every((each) => allowed?.includes(each) !== false) ? [] : [`${name} ${value} is not allowed`];
  }

  #custom(name: string, value: unknown): string[] {
    const isTexts = (Array.isArray(value) ? value : [value]).every(isText);
    const type = Array.isArray(value) ? 'list' : typeof value;
    const before = this.#customTypes.get(name) ?? type;
    this.#customTypes.set(name, type);
    return isTexts && before === type ? [] : [`${name} is ${type}, was ${before}`];
  }
}
