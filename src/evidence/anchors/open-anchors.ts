import type { AnchorTarget } from './anchor-targets.ts';
import { mirrorTo } from './mirror.ts';
import type { Anchor } from './ports.ts';
import { timeStampsOf } from './time-stamps.ts';
import { witnessAt } from './witness.ts';
import { filesIn } from './write-once-files.ts';

const INTERVAL_MS = 300_000;

/** Authorities are asked once a day. */
const TIME_STAMP_INTERVAL_MS = 86_400_000;

/** The anchors that are configured. Nothing is connected or read yet. */
export const openAnchors = (targets: readonly AnchorTarget[]): readonly Anchor[] => targets.map(openAnchor);

const openAnchor = (target: AnchorTarget): Anchor => {
  switch (target.kind) {
    case 'file':
      return mirrorTo(target.name, filesIn(target.directory), INTERVAL_MS);
    case 'witness':
      return witnessAt({ ...target, intervalMs: INTERVAL_MS });
    case 'tsa':
      return timeStampsOf({ ...target, intervalMs: TIME_STAMP_INTERVAL_MS });
  }
};
