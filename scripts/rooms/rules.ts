import { builtinModules } from 'node:module';
import { basename, dirname } from 'node:path';
import type { Import } from './imports.ts';

/** What rooms.json says. */
export interface Plan {
  /** From the ground up: a room sees the rooms below it. */
  readonly rooms: readonly { readonly room: string; readonly is: string }[];
  /** Which files may import a package; `types`: others may import its types. */
  readonly doors: readonly { readonly package: string; readonly in: readonly string[]; readonly types?: boolean }[];
  /** Rooms without input, output or a clock. */
  readonly pure: readonly string[];
  readonly maxFilesInFolder: number;
  /** The only files that stand in no folder. */
  readonly loose: readonly string[];
}

/** Everything that breaks the plan, as sentences. */
export const violations = (plan: Plan, files: readonly string[], imports: readonly Import[]): string[] => [
  ...misplaced(plan, files),
  ...crowded(plan, files),
  ...imports.flatMap((one) => [...upward(plan, one), ...throughNoDoor(plan, one), ...impure(plan, one)]),
  ...circles(imports),
];

/** The room of a file; undefined if the plan has none for it. */
export const roomOf = ({ rooms }: Plan, file: string): string | undefined =>
  rooms.find(({ room }) => file === room || file.startsWith(`${room}/`))?.room;

const misplaced = (plan: Plan, files: readonly string[]): string[] =>
  files.flatMap((file) => {
    if (roomOf(plan, file) === undefined) return [`${file} stands in no room of rooms.json`];
    if (!file.includes('/') && !plan.loose.includes(file)) return [`${file} stands loose: it belongs into a room`];
    return [];
  });

const crowded = ({ maxFilesInFolder }: Plan, files: readonly string[]): string[] =>
  [...Map.groupBy(files, dirname)].flatMap(([folder, inside]) =>
    inside.length > maxFilesInFolder ? [`${folder} has ${inside.length} files, more than ${maxFilesInFolder}`] : [],
  );

const upward = (plan: Plan, { from, to, isPackage }: Import): string[] => {
  if (isPackage) return [];
  const floor = (file: string) => plan.rooms.findIndex(({ room }) => room === roomOf(plan, file));
  return floor(to) > floor(from) ? [`${from} imports ${to}: ${roomOf(plan, to)} is above ${roomOf(plan, from)}`] : [];
};

/** Pairs of rooms: one imports the other. */
export const arrowsOf = (plan: Plan, imports: readonly Import[]): number => {
  const own = imports.filter(({ isPackage }) => !isPackage);
  const pairs = own.map(({ from, to }) => [roomOf(plan, from), roomOf(plan, to)]).filter(([from, to]) => from !== to);
  return new Set(pairs.map(String)).size;
};

const throughNoDoor = ({ doors }: Plan, { from, to, isPackage, typesOnly }: Import): string[] => {
  if (!isPackage) return [];
  const door = doors.find(({ package: name }) =>
    name.endsWith('/*') ? to.startsWith(name.slice(0, -1)) : to === name || to.startsWith(`${name}/`),
  );
  if (door === undefined || (door.types === true && typesOnly) || door.in.some((place) => isIn(place, from))) return [];
  return [`${from} imports ${to}: only ${door.in.join(' and ')} may`];
};

const isIn = (place: string, file: string): boolean =>
  place.startsWith('*') ? basename(file).endsWith(place.slice(1)) : file === place || file.startsWith(place);

const impure = ({ pure }: Plan, { from, to, isPackage }: Import): string[] => {
  if (!pure.some((room) => from.startsWith(room))) return [];
  const isOutside = isPackage ? to.startsWith('node:') || builtinModules.includes(to) : to.endsWith('.sql.ts');
  return isOutside ? [`${from} imports ${to}: its room is pure`] : [];
};

/**
 * Circles between what stands in one folder of a room, files and folders alike. Each once, with an import for each of its steps. Types count,
 * too. Rooms have no circle, since they have an order.
 */
const circles = (imports: readonly Import[]): string[] => {
  const levels = new Map<string, Map<string, Map<string, Import>>>();
  for (const one of imports) {
    if (one.isPackage) continue;
    const [from, to] = [one.from.split('/'), one.to.split('/')];
    const depth = from.findIndex((part, at) => part !== to[at]);
    if (depth === 0) continue;
    const level = valueAt(levels, from.slice(0, depth).join('/'), () => new Map());
    const steps = valueAt(level, from.slice(0, depth + 1).join('/'), () => new Map());
    valueAt(steps, to.slice(0, depth + 1).join('/'), () => one);
  }
  return [...levels.values()].flatMap(circlesOf);
};

const circlesOf = (next: ReadonlyMap<string, ReadonlyMap<string, Import>>): string[] => {
  const found = new Map<string, string>();
  const done = new Set<string>();
  const visit = (node: string, path: readonly string[]): void => {
    const at = path.indexOf(node);
    if (at >= 0) {
      const circle = path.slice(at);
      const steps = circle.map((one, n) => next.get(one)?.get(circle[n + 1] ?? node));
      const shown = steps.map((step) => `${step?.from} imports ${step?.to}`);
      found.set([...circle].sort().join(), `a circle: ${[...circle, node].join(' → ')} (${shown.join('; ')})`);
      return;
    }
    if (done.has(node)) return;
    for (const to of next.get(node)?.keys() ?? []) visit(to, [...path, node]);
    done.add(node);
  };
  for (const node of next.keys()) visit(node, []);
  return [...found.values()];
};

const valueAt = <Value>(map: Map<string, Value>, key: string, make: () => Value): Value => {
  const value = map.get(key) ?? make();
  map.set(key, value);
  return value;
};
