import type { AuditEntry } from '../audit-entry.ts';
import type { ActionKind, Classification, TargetUser } from '../classification.ts';

/** The part of an OCSF event that says which class it is of, and what was done. */
export interface OcsfClass {
  readonly name: 'api_activity' | 'account_change' | 'entity_management';
  readonly classUid: 6003 | 3001 | 3004;
  readonly className: string;
  readonly categoryUid: 6 | 3;
  readonly categoryName: string;
  readonly activityId: number;
  readonly activityName: string;
}

type Activities = Readonly<Record<ActionKind, number>>;

const OTHER = 99;
/** Account Change knows no update and no read, so these are Other. */
const accountActivities: Activities = { create: 1, delete: 6, update: OTHER, view: OTHER, unknown: 0, other: OTHER };
const crudActivities: Activities = { create: 1, view: 2, update: 3, delete: 4, unknown: 0, other: OTHER };

const captions: Readonly<Record<ActionKind, string>> = {
  create: 'Create',
  view: 'Read',
  update: 'Update',
  delete: 'Delete',
  unknown: 'Unknown',
  other: 'Other',
};

const iam = { categoryUid: 3, categoryName: 'Identity & Access Management' } as const;
const accountChange = { name: 'account_change', classUid: 3001, className: 'Account Change', ...iam } as const;
const entityManagement = { name: 'entity_management', classUid: 3004, className: 'Entity Management', ...iam } as const;
const apiActivity = {
  name: 'api_activity',
  classUid: 6003,
  className: 'API Activity',
  categoryUid: 6,
  categoryName: 'Application Activity',
} as const;

const withActivity = (base: Omit<OcsfClass, 'activityId' | 'activityName'>, ids: Activities, action: ActionKind) => ({
  ...base,
  activityId: ids[action],
  activityName: captions[action],
});

/**
 * Account Change for a change of a user or member who can be named; Entity Management for create, read, update and delete of the
 * other things of identity management; else API Activity, which takes anything. An action of no known kind keeps its own word as the name.
 */
export const ocsfClass = (entry: AuditEntry, kinds: Classification, user: TargetUser | undefined): OcsfClass => {
  const { action, subject } = kinds;
  const isKnown = action !== 'unknown' && action !== 'other';
  if (isKnown && action !== 'view' && subject === 'user' && user !== undefined)
    return withActivity(accountChange, accountActivities, action);
  const { resourceId, resourceType } = entry.texts;
  if (isKnown && subject !== 'user' && subject !== 'other' && (resourceId ?? resourceType) !== undefined)
    return withActivity(entityManagement, crudActivities, action);
  const activity = withActivity(apiActivity, crudActivities, action);
  return action === 'other' ? { ...activity, activityName: entry.texts.actionType ?? 'Other' } : activity;
};
