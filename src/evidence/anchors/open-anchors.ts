import type { AnchorTarget } from './anchor-targets.ts';
import { mirrorTo } from './mirror.ts';
import type { Anchor } from './ports.ts';
import { witnessAt } from './witness.ts';
import { filesIn } from './write-once-files.ts';

const INTERVAL_MS = 300_000;

/** The anchors that are configured. Nothing is connected or read yet. */
export const openAnchors = (targets: readonly AnchorTarget[], intervalMs = INTERVAL_MS): readonly Anchor[] =>
  targets.map((target) =>
    target.kind === 'witness'
      ? witnessAt({ ...target, intervalMs })
      : mirrorTo(target.name, filesIn(target.directory), intervalMs),
  );
