/** A place outside the database that keeps checkpoints, as ORGTRAIL_EVIDENCE_ANCHORS names it. */
export interface AnchorTarget {
  readonly kind: 'file';
  /** As it is set: what it is called in the database, in metrics and in messages. */
  readonly name: string;
  /** An absolute path. */
  readonly directory: string;
}

/**
 * Reads ORGTRAIL_EVIDENCE_ANCHORS: anchors with a comma or a line between. Returns why it cannot be read, as the end of a sentence that begins
 * with the name of the setting.
 */
export const parseAnchors = (text: string): readonly AnchorTarget[] | string => {
  const names = text
    .split(/[,\n]/)
    .map((name) => name.trim())
    .filter((name) => name !== '');
  const targets: AnchorTarget[] = [];
  for (const name of names) {
    const target = parseAnchor(name);
    if (typeof target === 'string') return target;
    if (targets.some((other) => other.name === name)) return `names ${name} twice`;
    targets.push(target);
  }
  return targets;
};

const parseAnchor = (name: string): AnchorTarget | string => {
  const match = /^file:(?:\/\/)?(\/(?!\/)[^\0]*)$/.exec(name);
  const directory = match?.[1];
  return directory === undefined
    ? `has ${JSON.stringify(name)}: an anchor must be like file:/mnt/worm/orgtrail, with an absolute path`
    : { kind: 'file', name, directory };
};
