import { isIP } from 'node:net';
import type { EcsField } from '../../support/formats/schema-facts.ts';

/** The words that ECS allows, and the types that it expects of a category (its pages of allowed values). */
const expectedTypes: Readonly<Record<string, readonly string[]>> = {
  configuration: ['access', 'change', 'creation', 'deletion', 'info'],
  iam: ['admin', 'change', 'creation', 'deletion', 'group', 'info', 'user'],
};
const allowed: Readonly<Record<string, readonly string[]>> = {
  'event.kind': ['alert', 'asset', 'enrichment', 'event', 'metric', 'state', 'pipeline_error', 'signal'],
  'event.outcome': ['failure', 'success', 'unknown'],
};

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

/** Checks documents against the official field list, and its own fields for types that never change. */
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
    const expected = categories.flatMap((category) => expectedTypes[category] ?? []);
    return types.filter((type) => !expected.includes(type)).map((type) => `${type} is no type of ${categories}`);
  }

  #official(name: string, value: unknown): string[] {
    const field = this.#fields.get(name);
    if (field === undefined) return [`${name} is no field`];
    if (Array.isArray(value) !== field.isArray) return [`${name} is ${field.isArray ? 'no' : 'a'} list`];
    const test = typeTests[field.type];
    const values = Array.isArray(value) ? value : [value];
    if (test === undefined || !values.every(test)) return [`${name} ${value} is no ${field.type}`];
    return allowed[name]?.includes(String(value)) === false ? [`${name} ${value} is not allowed`] : [];
  }

  #custom(name: string, value: unknown): string[] {
    const isTexts = (Array.isArray(value) ? value : [value]).every(isText);
    const type = Array.isArray(value) ? 'list' : typeof value;
    const before = this.#customTypes.get(name) ?? type;
    this.#customTypes.set(name, type);
    return isTexts && before === type ? [] : [`${name} is ${type}, was ${before}`];
  }
}
