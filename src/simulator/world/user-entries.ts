import {
  answerText,
  draw,
  entryParts,
  hex8,
  joinParts,
  keyOf,
  type SourceRef,
  type Story,
  type Voice,
} from '../entries/entry-text.ts';
import type { FaultPlan } from '../faults/fault-plan.ts';
import { accountText } from './account-templates.ts';
import type { Account, AccountRegistry } from './accounts.ts';
import type { EntryOrder, NewEntry } from './audit-log.ts';
import { lateness } from './base-history.ts';
import { people, userAgents } from './vocabulary.ts';

/** Share of copies in all entries of accounts. */
const copyShare = 0.1;
type Copies = Readonly<{ number: number; timeMs: number; reach: readonly Account[] }>;
type UserHistory = Readonly<{ events: readonly Copies[]; total: number }>;

interface Logs {
  readonly faults: FaultPlan;
  readonly userEntries: UserEntries;
  readonly accounts: AccountRegistry;
  nowMs(): number;
  append(source: SourceRef, entry: NewEntry): void;
}

/** Copies are about a tenth of all entries of accounts. */
export function planUserHistory(
  userEntries: UserEntries,
  accounts: AccountRegistry,
  { entries, endMs, lengthMs }: { readonly entries: number; readonly endMs: number; readonly lengthMs: number },
): UserHistory {
  const events: { number: number; reach: readonly Account[] }[] = [];
  let total = 0;
  while (total < Math.floor(entries * copyShare)) {
    const number = userEntries.take();
    const reach = userEntries.reach(number, accounts);
    if (reach.length === 0 || total + reach.length > entries) break;
    events.push({ number, reach });
    total += reach.length;
  }
  const spacingMs = lengthMs / Math.max(1, events.length);
  const timed = events.map(({ number, reach }, n) => {
    const timeMs = Math.floor(endMs - lengthMs + n * spacingMs);
    return { number, reach, timeMs: timeMs - (timeMs % 1000) };
  });
  return { events: timed, total };
}

export function addUserHistory(logs: Logs, { events }: UserHistory): void {
  for (const event of events) appendCopies(logs, event, {});
}

/** In every account that its person may use, or in those given. */
export function appendUserEntry(logs: Logs, order: EntryOrder, accounts?: readonly Account[]): void {
  const number = logs.userEntries.take();
  const reach = accounts ?? logs.userEntries.reach(number, logs.accounts);
  appendCopies(logs, { number, timeMs: order.timeMs, reach }, order);
}

function appendCopies(logs: Logs, { number, timeMs, reach }: Copies, order: Partial<EntryOrder>): void {
  const { faults, userEntries } = logs;
  for (const account of reach) {
    const source: SourceRef = { kind: 'account', id: account.id };
    // Copies arrive independently.
    const occasion = { number: draw(keyOf(account.id), number), source };
    const late = order.visibleAtMs === undefined ? faults.fires('late', occasion) : undefined;
    const lateAtMs = late === undefined ? 0 : timeMs + lateness(late, faults.parameters.lateDelayMs);
    const { id, name } = account;
    const text = (): string => userEntries.text(number, timeMs, reach, { id, name });
    logs.append(source, { timeMs, visibleAtMs: order.visibleAtMs ?? lateAtMs, text });
  }
}

/** Sign-ins, user tokens, memberships: in the log of every account that the person may use, under one id. */
export class UserEntries {
  readonly #key: number;
  readonly #told: (voice: Voice) => Voice;
  readonly #groups = new Map<string, Group>();
  #next = 0;

  constructor(seed: number, told: (voice: Voice) => Voice) {
    this.#key = keyOf('user entries', seed);
    this.#told = told;
  }

  take(): number {
    return this.#next++;
  }

  /** All of an organization, or two, or one. */
  reach(number: number, accounts: AccountRegistry): readonly Account[] {
    const all = accounts.all();
    const first = all[draw(this.#key + 1, number) % all.length];
    if (first === undefined) return [];
    const bits = draw(this.#key + 2, number);
    const { organizationId } = first;
    if (bits % 4 !== 0 && organizationId !== undefined) {
      return all.filter((account) => account.organizationId === organizationId);
    }
    const second = all[(bits >>> 3) % all.length];
    return second === undefined || second === first ? [first] : [first, second];
  }

  /** Copies differ in the member `account` alone. */
  text(number: number, timeMs: number, reach: readonly Account[], account: Pick<Account, 'id' | 'name'>): string {
    return joinParts(entryParts(this.#voice(reach, account), number, timeMs, 0));
  }

  #voice(reach: readonly Account[], account: Pick<Account, 'id' | 'name'>): Voice {
    const ids = reach.map(({ id }) => id).join();
    const group = this.#groups.get(ids) ?? groupOf(keyOf(ids, this.#key));
    this.#groups.set(ids, group);
    return this.#told({
      key: this.#key,
      source: { kind: 'account', id: account.id },
      ownerText: accountText(account),
      actors: group.actors,
      strangeActors: group.actors,
      agents: userAgents,
      stories: group.stories,
    });
  }
}

type Group = Readonly<{ actors: readonly string[]; stories: readonly Story[] }>;

/** One domain signs in by SSO, the other by password: no person does both. */
function groupOf(key: number): Group {
  const all = people(key, 8).map((actor, n) =>
    actor.replace('@example.com', `@${n < 4 ? 'sso' : 'mail'}-${hex8(key)}.example`),
  );
  const [bySso, byPassword] = [all.slice(0, 4), all.slice(4)];
  const ways: Readonly<Record<string, readonly string[]>> = { SSO_LOGIN: bySso, LOGIN: byPassword };
  const stories = userStories.map((one) => {
    const actors = ways[one.description];
    return actors === undefined ? one : { ...one, actors };
  });
  return { actors: all, stories };
}

const signedIn = (id: string, b: number): string => `{"id":"${id}","two_factor":${b % 3 !== 0}}`;
const profile = (id: string, b: number, c: number): string =>
  `{"id":"${id}","country":"${c % 2 === 0 ? 'DE' : 'SE'}","two_factor_authentication_enabled":${b % 2 === 0}}`;
const userToken = (id: string, b: number, _c: number, _d: number, time: string): string =>
  `{"id":"${id}","name":"mine-${hex8(b)}","status":"active","issued_on":"${time}"}`;
const membership = (id: string): string => `{"id":"${id}","status":"accepted"}`;

const story = (
  description: string,
  actionType: string,
  method: string,
  product: string,
  resourceType: string,
  uri: string,
  scope: 'user' | 'memberships',
  result: (id: string, b: number, c: number, d: number, time: string) => string,
): Story => ({
  description,
  actionType,
  method,
  product,
  resourceType,
  uri,
  hasId: uri.endsWith('/'),
  scope: JSON.stringify(scope),
  request: () => '{}',
  response: (b, c, d, id, time) => answerText(result(id, b, c, d, time)),
});

// Half are sign-ins.
const userStories: readonly Story[] = [
  story('SSO_LOGIN', 'login', 'POST', 'login', 'session', '/login/sso', 'user', signedIn),
  story('LOGIN', 'login', 'POST', 'login', 'session', '/login', 'user', signedIn),
  story('LOGIN', 'login', 'POST', 'login', 'session', '/login', 'user', signedIn),
  story('Update User Profile', 'update', 'PATCH', 'user', 'user', '/user', 'user', profile),
  story('Create User API Token', 'create', 'POST', 'api_tokens', 'api_token', '/user/tokens', 'user', userToken),
  story('Accept Membership', 'update', 'PUT', 'memberships', 'membership', '/memberships/', 'memberships', membership),
];
