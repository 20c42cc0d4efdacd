import type { AnchorTarget } from './anchor-targets.ts';
import { mirrorTo } from './mirror.ts';
import type { Anchor } from './ports.ts';
import { filesIn } from './write-once-files.ts';

const INTERVAL_MS = 300_000;

/** The anchors that are configured. Nothing is connected or read yet. */
export const openAnchors = (targets: readonly AnchorTarget[], intervalMs = INTERVAL_MS): readonly Anchor[] =>
  targets.map(({ name, directory }) => mirrorTo(name, filesIn(directory), intervalMs));
