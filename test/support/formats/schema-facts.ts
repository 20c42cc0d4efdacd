import { EcsFlat } from '@elastic/ecs';
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

/** A field of the Elastic Common Schema. `normalize` has `array` for a list. */
export interface EcsField {
  readonly type: string;
  readonly normalize: readonly string[];
  readonly allowed_values?: readonly { readonly name: string; readonly expected_event_types?: readonly string[] }[];
}

/** The classes, objects and types of OCSF that the format uses, as scripts/derive-schema-facts.ts took them from its schema. */
export const ocsfSchema = ocsfFacts as unknown as OcsfSchema;

/** The fields of the Elastic Common Schema by name, as Elastic publishes them. Multi-fields (`user.name.text`) are not among them. */
export const ecsFields: ReadonlyMap<string, EcsField> = new Map(Object.entries<EcsField>(EcsFlat));
