import { type AuditEntry, isEventField, type Mapped, type MappedName, member } from '../audit-entry.ts';
import { classify } from '../classification.ts';
import type { FeedEvent } from '../feed-event.ts';
import { readUri } from '../request-uri.ts';
import type { OcsfClass } from './ocsf-class.ts';
import { isOcsfMethod, isOtherEntity } from './ocsf-parts.ts';

/**
 * What of an entry stands in the OCSF event in full, word for word or as the caption of a documented word. Everything else
 * goes to `unmapped`: nothing gets lost on the way, even for a reader that drops `raw_data`.
 */
export const ocsfMapped = (entry: AuditEntry, event: FeedEvent, found: OcsfClass): Mapped => {
  const { texts, value, request, response } = entry;
  const { action, outcome, subject } = classify(entry);
  const hasUser = texts.actorId !== undefined || texts.actorEmail !== undefined;
  const isActivity = found.name === 'api_activity';
  const inResources = isActivity && (texts.resourceId ?? texts.resourceType) !== undefined;
  const always = ['actionDescription', 'actionTime', 'actorIpAddress', 'actorTokenId', 'actorTokenName'] as const;
  const sometimes: readonly (readonly [MappedName, boolean])[] = [
    ['id', member(value, 'id') === event.id],
    ['organizationId', isEventField(entry, event, 'organizationId')],
    ['accountId', isEventField(entry, event, 'accountId')],
    ['accountName', isEventField(entry, event, 'accountName')],
    ['actionType', action === 'other' || action === texts.actionType],
    ['actionResult', outcome === 'other' || outcome === texts.actionResult],
    ['actorId', hasUser],
    ['actorEmail', hasUser],
    ['actorType', hasUser],
    ['actorContext', texts.actorTokenName === undefined],
    ['method', isOcsfMethod(texts.method)],
    ['uri', texts.uri !== undefined && readUri(texts.uri).isWhole],
    ['raw.status_code', entry.statusCode !== undefined],
    ['resourceType', inResources || (found.name === 'entity_management' && isOtherEntity(subject))],
    ['resourceScope', inResources],
    ['resource.request', request !== undefined && request !== null],
    ['resource.response', response !== undefined && response !== null],
  ];
  const names = sometimes.filter(([, isMapped]) => isMapped).map(([name]) => name);
  return new Set<MappedName>([...always, 'rayId', 'userAgent', 'resourceId', 'resourceProduct', ...names]);
};
