import { people, strangePeople } from '../world/actors.ts';
import { keyOf } from '../world/random.ts';
import { type StoryTemplate, storyTemplates, userAgents } from '../world/vocabulary.ts';
import { answerText, type Story, type Voice } from '../world/voice.ts';

function tell(template: StoryTemplate, organizationId: string): Story {
  const { result, path, request, ...facts } = template;
  const uri = path.replace('{org}', organizationId);
  const namesOrganization = request(0, 0, 0).includes('{org}');
  return {
    ...facts,
    uri,
    hasId: uri.endsWith('/'),
    request: namesOrganization ? (a, b, c) => request(a, b, c).replace('{org}', organizationId) : request,
    scope: '"organizations"',
    response: (b, c, d, id, time) => answerText(result(id, b, c, d, time)),
  };
}

/** The voice of one organization: what people do through organization-level APIs. The same for the same arguments. */
export function organizationVoice(seed: number, organizationId: string): Voice {
  const key = keyOf(organizationId, seed);
  return {
    key,
    source: { kind: 'organization', id: organizationId },
    ownerText: JSON.stringify({ id: organizationId }),
    actors: people(key, 48),
    strangeActors: strangePeople(key),
    agents: userAgents,
    stories: storyTemplates.map((template) => tell(template, organizationId)),
  };
}
