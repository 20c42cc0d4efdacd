import { type AuditEntry, isEventField, type Mapped, type MappedName, member } from '../audit-entry.ts';
import type { Classification } from '../classification.ts';
import type { FeedEvent } from '../feed-event.ts';
import { readUri } from '../request-uri.ts';
import type { OcsfClass } from './ocsf-class.ts';
import { isOcsfMethod, isOtherEntity } from './ocsf-parts.ts';

const always: readonly MappedName[] = [
  'actionDescription',
  'actionTime',
  'actorIpAddress',
  'actorTokenId',
  'actorTokenName',
  'rayId',
  'userAgent',
  'resourceId',
  'resourceProduct',
];
const ofEvent = ['organizationId', 'accountId', 'accountName'] as const;

/**
 * What of an entry stands in the OCSF event in full, word for word or as the caption of a documented word. Everything else
 * goes to `unmapped`: nothing gets lost on the way, even for a reader that drops `raw_data`.
 */
export const ocsfMapped = (entry: AuditEntry, event: FeedEvent, found: OcsfClass, kinds: Classification): Mapped => {
  const { texts, request, response } = entry;
  const { action, outcome, subject } = kinds;
  const hasUser = texts.actorId !== undefined || texts.actorEmail !== undefined;
  const isActivity = found.name === 'api_activity';
  const inResources = isActivity && (texts.resourceId ?? texts.resourceType) !== undefined;
  const mapped = new Set<MappedName>(always);
  const add = (isMapped: boolean, ...names: readonly MappedName[]): void => {
    if (isMapped) for (const name of names) mapped.add(name);
  };
  add(member(entry.value, 'id') === event.id, 'id');
  for (const name of ofEvent) add(isEventField(entry, event, name), name);
  add(action === 'other' || action === texts.actionType, 'actionType');
  add(outcome === 'other' || outcome === texts.actionResult, 'actionResult');
  add(hasUser, 'actorId', 'actorEmail', 'actorType');
  add(texts.actorTokenName === undefined, 'actorContext');
  add(isOcsfMethod(texts.method), 'method');
  add(texts.uri !== undefined && readUri(texts.uri).isWhole, 'uri');
  add(entry.statusCode !== undefined, 'raw.status_code');
  add(inResources || (found.name === 'entity_management' && isOtherEntity(subject)), 'resourceType');
  add(inResources, 'resourceScope');
  add(request !== undefined && request !== null, 'resource.request');
  add(response !== undefined && response !== null, 'resource.response');
  return mapped;
};
