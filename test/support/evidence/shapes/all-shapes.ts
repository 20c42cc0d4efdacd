import { contentShapes } from './content.ts';
import { dropShapes } from './drops.ts';
import { keyShapes } from './keys.ts';
import { oneSourceShapes } from './one-source.ts';
import { readShapes } from './reads.ts';
import type { Shape } from './shape.ts';
import { statementShapes } from './statements.ts';
import { timeShapes } from './time.ts';
import { coverageShapes, trustShapes } from './trust.ts';

/** Each name stands for one shape. */
export const wholeShapes: readonly Shape[] = [
  ...contentShapes,
  ...statementShapes,
  ...dropShapes,
  ...coverageShapes,
  ...trustShapes,
  ...keyShapes,
  ...readShapes,
];

/** Of one source, or of a time. */
export const partShapes: readonly Shape[] = [...oneSourceShapes, ...timeShapes];
