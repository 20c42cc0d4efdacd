/** What has an audit log of its own. */
export const sourceKinds = ['organization', 'account'] as const;
export type SourceKind = (typeof sourceKinds)[number];

/** One audit log. An account may have the id of an organization: only kind and id together name it. */
export interface SourceRef {
  readonly kind: SourceKind;
  readonly id: string;
}

/** The source that is meant; a plain id is that of an organization. */
export function sourceOf(source: SourceRef | string): SourceRef {
  return typeof source === 'string' ? { kind: 'organization', id: source } : source;
}

/** A key of maps. */
export function sourceKey({ kind, id }: SourceRef): string {
  return `${kind} ${id}`;
}
