import { type Actor, actorPrefixOf, readActor } from '../conditions/actor.ts';
import {
  type AddParameter,
  addressParts,
  addressStartPart,
  exactBeginning,
  zoneCondition,
} from '../conditions/filter-conditions.sql.ts';
import {
  beginsWholly,
  folded,
  hasOtherCase,
  indexed,
  likeText,
  patternOf,
  type SpelledColumn,
} from '../conditions/spelled-columns.ts';
import { statusRange, type Term, type TermField } from './terms.ts';

/** The condition of one value, in `audit_events`. */
type ValueCondition = (value: string, parameter: AddParameter) => string;

/** True of an event that the term lets through. A negated term lets through what has no value at all. */
export const termCondition = ({ field, isNegated, values }: Term, parameter: AddParameter): string => {
  const any = `(${values.map((value) => conditions[field](value, parameter)).join(' or ')})`;
  return isNegated ? `(${any} is not true)` : any;
};

/** Whatever the case of letters, by the index of small letters and that of all other spellings (drizzle/0017, 0018). */
const spelled =
  (column: SpelledColumn): ValueCondition =>
  (value, parameter) => {
    const start = actorPrefixOf(value);
    if (start !== undefined) {
      const pattern = parameter(patternOf(start));
      const isSmall = indexed(column, `${column} like lower(${pattern})`);
      const isOther = `(${hasOtherCase(column)} and ${folded(column)} like lower(${pattern}))`;
      return beginsWholly(`(${isSmall} or ${isOther})`, { text: column, start, lower: true }, parameter);
    }
    return spelledExactly(column)(value, parameter);
  };

/** The same, of a value that is no beginning, whatever its end. */
export const spelledExactly =
  (column: SpelledColumn): ValueCondition =>
  (value, parameter) => {
    const name = parameter(value);
    const isSame = `${folded(column)} = ${folded(name)} and lower(${column}) = lower(${name})`;
    return `(${indexed(column, `${column} = lower(${name})`)} or (${hasOtherCase(column)} and ${isSame}))`;
  };

/** As it is written. */
const exact =
  (column: string): ValueCondition =>
  (value, parameter) => {
    const start = actorPrefixOf(value);
    return start === undefined ? `${column} = ${parameter(value)}` : exactBeginning(column, start, parameter);
  };

/** Whatever the case of letters, with `*` at either end. No index has it. */
const loose =
  (column: string): ValueCondition =>
  (value, parameter) => {
    const front = value.startsWith('*') ? '%' : '';
    const end = value.endsWith('*') ? '%' : '';
    const inner = value.slice(front.length, end === '' ? undefined : -1);
    return `${column} ilike ${parameter(`${front}${likeText(inner)}${end}`)}`;
  };

const ofAddress: ValueCondition = (value, parameter) => {
  const start = actorPrefixOf(value);
  return start === undefined ? `(${addressParts(value, parameter).join(' or ')})` : addressStartPart(start, parameter);
};

const either =
  (...all: readonly ValueCondition[]): ValueCondition =>
  (value, parameter) =>
    `(${all.map((one) => one(value, parameter)).join(' or ')})`;

const email = spelled('actor_email');
const token = either(exact('actor_token_id'), spelled('actor_token_name'));
const actorId = exact('actor_id');

const actorKinds: Readonly<Record<Actor['kind'], ValueCondition>> = {
  email,
  ip: ofAddress,
  id: actorId,
  token,
  any: (value, parameter) =>
    actorPrefixOf(value) === undefined
      ? either(email, actorId, token, exact('actor_ip_address'))(value, parameter)
      : either(email, spelled('actor_token_name'))(value, parameter),
};

/** The condition of an actor, in all spellings without looking them up. */
export const actorParts = ({ kind, value }: Actor, parameter: AddParameter): string =>
  actorKinds[kind](value, parameter);

const conditions: Readonly<Record<TermField, ValueCondition>> = {
  organization: exact('organization_id'),
  account: exact('account_id'),
  zone: (value, parameter) => zoneCondition(parameter(value)),
  actor: (value, parameter) => actorParts(readActor(value), parameter),
  email,
  ip: ofAddress,
  token,
  actor_id: actorId,
  actor_type: loose('actor_type'),
  context: loose('actor_context'),
  action: spelled('action_type'),
  result: spelled('action_result'),
  product: spelled('resource_product'),
  resource_type: spelled('resource_type'),
  resource: exact('resource_id'),
  ray: exact('raw_cf_ray_id'),
  status: (value, parameter) => {
    const [from, to] = statusRange(value) ?? [0, -1];
    return `raw_status_code between ${parameter(from)} and ${parameter(to)}`;
  },
  method: loose('raw_method'),
  uri: loose('raw_uri'),
  agent: loose('raw_user_agent'),
  id: exact('id'),
  text: (value, parameter) => `raw::text ilike ${parameter(`%${likeText(value)}%`)}`,
};
