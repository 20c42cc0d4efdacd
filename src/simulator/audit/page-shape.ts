import type { FaultName } from '../faults/fault-catalogue.ts';
import type { FaultPlan, Occasion } from '../faults/fault-plan.ts';
import { keyOf } from '../world/random.ts';
import type { AuditQuery } from './audit-query.ts';

/** How a page is cut out of the window, and what becomes of its cursor. */
export interface PageShape {
  /** Entries on a full page. */
  readonly size: number;
  /** Which way the pages follow each other. */
  readonly direction: 'asc' | 'desc';
  /** Each page is turned round. */
  readonly isFlipped: boolean;
  /** Set: the entries follow each other in the order that this key draws. */
  readonly shuffleKey: number | undefined;
  readonly cursors: 'work' | 'refused' | 'none';
  /** Status of a cursor that is refused. */
  readonly refusedWith: number;
}

const shaping = ['page_cap', 'page_blocks', 'wrong_order'] as const satisfies readonly FaultName[];

/** The shape that was asked for, bent by the faults that happen now. `cap` undefined: as many entries as asked for. */
export function pageShape(
  faults: FaultPlan,
  { window, limit }: AuditQuery,
  occasion: Occasion,
  cap: number | undefined,
  seed: number,
): PageShape {
  const asked = window.direction;
  const shape: PageShape = {
    size: Math.min(limit, cap ?? limit),
    direction: asked,
    isFlipped: false,
    shuffleKey: undefined,
    cursors: 'work',
    refusedWith: 400,
  };
  if (!shaping.some((name) => faults.isOn(name))) return shape;
  const size = faults.meets('page_cap', occasion);
  const blocks = faults.meets('page_blocks', occasion);
  const order = faults.meets('wrong_order', occasion);
  const met = [size, blocks, order].filter((setting) => setting !== undefined);
  const bad = met.find(({ cursors }) => cursors === 'none') ?? met.find(({ cursors }) => cursors === 'refused');
  return {
    ...shape,
    size: Math.min(shape.size, size?.size ?? shape.size),
    ...(blocks === undefined ? {} : blockShape(blocks.direction, asked)),
    ...(order === undefined ? {} : orderShape(order.order, keyOf('wrong_order', seed))),
    ...(bad === undefined ? {} : { cursors: bad.cursors, refusedWith: bad.refusedWith }),
  };
}

type Turn = Pick<PageShape, 'direction' | 'isFlipped'>;

/** Ascending is answered with the newest page first, ascending inside; descending depends on what `direction` turns. */
function blockShape(turns: 'mirrored' | 'ignored' | 'inside', asked: 'asc' | 'desc'): Turn {
  if (turns === 'mirrored') return { direction: asked === 'asc' ? 'desc' : 'asc', isFlipped: true };
  return { direction: 'desc', isFlipped: turns === 'ignored' || asked === 'asc' };
}

function orderShape(
  order: 'descending' | 'ascending' | 'shuffled',
  key: number,
): Pick<PageShape, 'shuffleKey'> & Partial<Turn> {
  if (order === 'shuffled') return { shuffleKey: key };
  return { direction: order === 'descending' ? 'desc' : 'asc', isFlipped: false, shuffleKey: undefined };
}
