import ecsFacts from './ecs-facts.json' with { type: 'json' };
import ocsfFacts from './ocsf-facts.json' with { type: 'json' };

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

/** The classes, objects and types of OCSF that the format uses, as test/scripts/derive-schema-facts.ts took them from its schema. */
export const ocsfSchema = ocsfFacts as unknown as OcsfSchema;

/** The fields of the Elastic Common Schema by name, likewise. */
export const ecsFields: ReadonlyMap<string, EcsField> = new Map(
  Object.entries(ecsFacts).map(([name, type]) => [
    name,
    { type: type.replace('[]', ''), isArray: type.endsWith('[]') },
  ]),
);
