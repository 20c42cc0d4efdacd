import { ipText, people, strangePeople } from '../world/actors.ts';
import { draw, hex8, keyOf } from '../world/random.ts';
import { userAgents } from '../world/vocabulary.ts';
import { answerText, type Story, type Voice } from '../world/voice.ts';
import type { Account, Zone } from './account-registry.ts';
import { type AccountStory, accountStories, type Teller } from './account-stories.ts';

/** JSON text of the member `account` of an entry. */
export function accountText({ id, name }: Pick<Account, 'id' | 'name'>): string {
  return JSON.stringify({ id, name });
}

/** A token that the account itself owns. */
function accountToken(key: number, n: number, accountId: string): string {
  const bits = draw(key, 3000 + n);
  const token = `"token_id":"${hex8(bits)}${hex8(bits ^ key)}","token_name":"pipeline-${n}"`;
  return `{"id":"${accountId}","context":"api_token","ip_address":"${ipText(bits)}",${token},"type":"account"}`;
}

// Cloudflare's own doings: no e-mail address, no address.
function systemActors(key: number): string[] {
  const id = `${hex8(draw(key, 4000))}${hex8(draw(key, 4001))}`;
  return [`{"id":"${id}","context":"api","type":"system"}`, '{"id":"","context":"api","type":"system"}'];
}

function services(key: number): string[] {
  const id = `${hex8(draw(key, 5000))}${hex8(draw(key, 5001))}`;
  return [
    `{"id":"${id}","context":"oauth","ip_address":"203.0.113.9","token_name":"Git integration","type":"delegated_service"}`,
  ];
}

function tell(template: AccountStory, accountId: string, zone: Zone | undefined, tellers: Tellers): Story {
  const { result, path, scope, teller, ...facts } = template;
  const uri = path.replace('{account}', accountId).replace('{zone}', zone?.id ?? '');
  const actors = teller === 'people' ? undefined : tellers[teller];
  return {
    ...facts,
    uri,
    hasId: uri.endsWith('/'),
    scope: JSON.stringify(scope),
    ...(scope === 'zone' && zone !== undefined ? { zone: JSON.stringify({ id: zone.id, name: zone.name }) } : {}),
    ...(actors === undefined ? {} : { actors }),
    response: (b, c, d, id, time) => answerText(result(id, b, c, d, time)),
  };
}

type Tellers = Readonly<Record<Exclude<Teller, 'people'>, readonly string[]>>;

function storiesOf(key: number, id: string, zones: readonly Zone[]): Story[] {
  const tellers: Tellers = { system: systemActors(key), service: services(key) };
  return accountStories.flatMap((template) =>
    template.scope === 'zone'
      ? zones.map((zone) => tell(template, id, zone, tellers))
      : [tell(template, id, undefined, tellers)],
  );
}

/** Works something out when it is first asked for. */
function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

/**
 * The voice of one account under its name of now; everything else is the same for the same seed and id. There may be thousands of
 * accounts that no client reads: people and stories come into being with the first entry that is read.
 */
export function accountVoice(seed: number, account: Pick<Account, 'id' | 'name' | 'zones'>): Voice {
  const key = keyOf(`account ${account.id}`, seed);
  const { id, zones } = account;
  const tokens = (): string[] => Array.from({ length: 8 }, (_, n) => accountToken(key, n, id));
  const actors = once(() => [...people(key, 40), ...tokens()]);
  const strangeActors = once(() => strangePeople(key));
  const stories = once(() => storiesOf(key, id, zones));
  return {
    key,
    source: { kind: 'account', id },
    ownerText: accountText(account),
    get actors() {
      return actors();
    },
    get strangeActors() {
      return strangeActors();
    },
    agents: userAgents,
    get stories() {
      return stories();
    },
  };
}
