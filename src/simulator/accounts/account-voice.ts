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

/** The voice of one account under its name of now; everything else is the same for the same seed and id. */
export function accountVoice(seed: number, account: Pick<Account, 'id' | 'name' | 'zones'>): Voice {
  const key = keyOf(`account ${account.id}`, seed);
  const tellers: Tellers = { system: systemActors(key), service: services(key) };
  const { id, zones } = account;
  const stories = accountStories.flatMap((template): Story[] => {
    if (template.scope !== 'zone') return [tell(template, id, undefined, tellers)];
    return zones.map((zone) => tell(template, id, zone, tellers));
  });
  return {
    key,
    source: { kind: 'account', id },
    ownerText: accountText(account),
    actors: [...people(key, 40), ...Array.from({ length: 8 }, (_, n) => accountToken(key, n, id))],
    strangeActors: strangePeople(key),
    agents: userAgents,
    stories,
  };
}
