import { Document, isScalar, isSeq, type Node } from 'yaml';

/** A key of the file, what it is, and a comment. */
export interface CommentedValue {
  readonly key: string;
  readonly value: unknown;
  readonly comment: string;
}

/** The settings as a YAML file that orgtrail can read. */
export const settingsYaml = (values: readonly CommentedValue[]): string => {
  const document = new Document({});
  for (const { key, value, comment } of values) {
    const node = document.createNode(value) as Node;
    if (isSeq(node)) node.flow = true;
    if (isSeq(node) || isScalar(node)) node.comment = ` ${comment}`;
    else node.commentBefore = ` ${comment}`;
    document.setIn(key.split('.'), node);
  }
  return document.toString({ lineWidth: 0, flowCollectionPadding: false });
};
