import { type AuditEntry, bitOf, isEventField, type Mapped, type MappedName, member } from '../audit-entry.ts';
import type { Classification } from '../classification.ts';
import type { FeedEvent } from '../feed-event.ts';
import { readUri } from '../request-uri.ts';
import type { OcsfClass } from './ocsf-class.ts';
import { isOcsfMethod, isOtherEntity } from './ocsf-parts.ts';

const bitsOf = (...names: readonly MappedName[]): Mapped => names.reduce((bits, name) => bits | bitOf[name], 0);

const always = bitsOf(
  'actionDescription',
  'actionTime',
  'actorIpAddress',
  'actorTokenId',
  'actorTokenName',
  'rayId',
  'userAgent',
  'resourceId',
  'resourceProduct',
);
const ofUser = bitsOf('actorId', 'actorEmail', 'actorType');
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
  let mapped = always;
  const add = (isMapped: boolean, bits: Mapped): void => {
    if (isMapped) mapped |= bits;
  };
  add(member(entry.value, 'id') === event.id, bitOf.id);
  for (const name of ofEvent) add(isEventField(entry, event, name), bitOf[name]);
  add(action === 'other' || action === texts.actionType, bitOf.actionType);
  add(outcome === 'other' || outcome === texts.actionResult, bitOf.actionResult);
  add(hasUser, ofUser);
  add(texts.actorTokenName === undefined, bitOf.actorContext);
  add(isOcsfMethod(texts.method), bitOf.method);
  add(texts.uri !== undefined && readUri(texts.uri).isWhole, bitOf.uri);
  add(entry.statusCode !== undefined, bitOf['raw.status_code']);
  add(inResources || (found.name === 'entity_management' && isOtherEntity(subject)), bitOf.resourceType);
  add(inResources, bitOf.resourceScope);
  add(request !== undefined && request !== null, bitOf['resource.request']);
  add(response !== undefined && response !== null, bitOf['resource.response']);
  return mapped;
};
