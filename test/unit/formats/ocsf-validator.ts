import type { OcsfAttribute, OcsfObject, OcsfSchema } from '../../support/formats/schema-facts.ts';

type JsonObject = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const OTHER = 99;

/** Checks events against the official schema: attributes, requirements, constraints, types, enums with their siblings. */
export class OcsfValidator {
  readonly #schema: OcsfSchema;
  readonly #expressions = new Map<string, RegExp>();
  #faults: string[] = [];
  #profiles: readonly string[] = [];

  constructor(schema: OcsfSchema) {
    this.#schema = schema;
  }

  /** What is wrong with an event; empty where nothing is. */
  validate(event: JsonObject): readonly string[] {
    this.#faults = [];
    const metadata = event['metadata'];
    this.#profiles = isObject(metadata) ? ((metadata['profiles'] ?? []) as string[]) : [];
    const found = Object.values(this.#schema.classes).find(({ uid }) => uid === event['class_uid']);
    if (found === undefined) return [`class_uid ${event['class_uid']} is unknown`];
    if (!isObject(metadata) || metadata['version'] !== this.#schema.version)
      this.#faults.push(`metadata.version is not ${this.#schema.version}`);
    if (event['type_uid'] !== found.uid * 100 + Number(event['activity_id']))
      this.#faults.push('type_uid is not class_uid * 100 + activity_id');
    this.#object(found, event, '');
    return this.#faults;
  }

  #expression(source: string): RegExp {
    const known = this.#expressions.get(source) ?? new RegExp(source);
    this.#expressions.set(source, known);
    return known;
  }

  #applies = ({ profile }: OcsfAttribute): boolean => profile === undefined || this.#profiles.includes(profile);

  #object({ attributes, constraints }: OcsfObject, value: JsonObject, path: string): void {
    for (const [name, attribute] of Object.entries(attributes)) {
      if (attribute.requirement === 'required' && this.#applies(attribute) && value[name] === undefined)
        this.#faults.push(`${path}${name} is required`);
    }
    const given = (names: readonly string[] = []) => names.filter((name) => value[name] !== undefined).length;
    if (constraints?.at_least_one && given(constraints.at_least_one) === 0)
      this.#faults.push(`${path} has none of ${constraints.at_least_one}`);
    if (constraints?.just_one && given(constraints.just_one) !== 1)
      this.#faults.push(`${path} has not just one of ${constraints.just_one}`);
    for (const [name, inner] of Object.entries(value)) {
      const attribute = Object.hasOwn(attributes, name) ? attributes[name] : undefined;
      if (attribute === undefined || !this.#applies(attribute)) this.#faults.push(`${path}${name} is no attribute`);
      else this.#attribute(attribute, inner, value, `${path}${name}`);
    }
  }

  #attribute(attribute: OcsfAttribute, value: unknown, parent: JsonObject, path: string): void {
    if (Array.isArray(value) !== attribute.is_array && attribute.type !== 'json_t')
      this.#faults.push(`${path} ${attribute.is_array ? 'is no' : 'is an'} array`);
    for (const one of attribute.is_array && Array.isArray(value) ? value : [value]) {
      if (attribute.object_type === undefined) this.#scalar(attribute.type, one, path);
      else if (!isObject(one)) this.#faults.push(`${path} is no object`);
      else if (attribute.object_type !== 'object')
        this.#object(this.#schema.objects[attribute.object_type] as OcsfObject, one, `${path}.`);
      if (attribute.enum !== undefined) this.#enum(attribute, attribute.enum, one, parent, path);
    }
  }

  #enum(
    attribute: OcsfAttribute,
    captions: Readonly<Record<string, string>>,
    value: unknown,
    parent: JsonObject,
    path: string,
  ) {
    const key = String(value);
    if (!Object.hasOwn(captions, key)) this.#faults.push(`${path} ${key} is not in the enum`);
    const name = attribute.sibling === undefined ? undefined : parent[attribute.sibling];
    if (value === OTHER && (typeof name !== 'string' || name === ''))
      this.#faults.push(`${path} is Other and ${attribute.sibling} does not say what`);
    if (value !== OTHER && name !== undefined && name !== captions[key])
      this.#faults.push(`${attribute.sibling} is not ${captions[key]}`);
  }

  #scalar(type: string, value: unknown, path: string): void {
    const { regex, max_len: maxLength, range, type: base } = this.#schema.types[type] ?? {};
    if (!scalarTests[base ?? type]?.(value)) this.#faults.push(`${path} is no ${type}`);
    if (typeof value === 'string') {
      if (regex && !this.#expression(regex).test(value))
        this.#faults.push(`${path} ${value} does not look like ${type}`);
      if (maxLength && value.length > maxLength) this.#faults.push(`${path} is too long`);
      if (!value.isWellFormed() || value.includes('\0')) this.#faults.push(`${path} is not clean`);
    }
    if (range && (Number(value) < range[0] || Number(value) > range[1])) this.#faults.push(`${path} is out of range`);
  }
}

const scalarTests: Readonly<Record<string, (value: unknown) => boolean>> = {
  string_t: (value) => typeof value === 'string',
  integer_t: Number.isSafeInteger,
  long_t: Number.isSafeInteger,
  float_t: (value) => typeof value === 'number',
  boolean_t: (value) => typeof value === 'boolean',
  json_t: () => true,
};
