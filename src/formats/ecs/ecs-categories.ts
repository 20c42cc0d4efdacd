import type { ActionKind, Classification } from '../classification.ts';

/** The two lists that sort an event in ECS; both only take words that ECS allows together. */
interface EcsCategories {
  readonly category: readonly string[];
  readonly type: readonly string[];
}

const iamTypes: Readonly<Record<ActionKind, string>> = {
  create: 'creation',
  update: 'change',
  delete: 'deletion',
  view: 'info',
  unknown: 'info',
  other: 'info',
};

/** `iam` for identity management, with the kind of object beside the kind of act; else `configuration`. */
export const ecsCategories = ({ action, subject }: Classification): EcsCategories => {
  if (subject === 'other')
    return { category: ['configuration'], type: [action === 'view' ? 'access' : iamTypes[action]] };
  const object = subject === 'user' || subject === 'group' ? subject : 'admin';
  return { category: ['iam'], type: [object, iamTypes[action]] };
};
