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

/** Each circle once, beginning with its first file by name. Types count, too. */
const circles = (imports: readonly Import[]): string[] => {
  const next = Map.groupBy(
    imports.filter(({ isPackage }) => !isPackage),
    ({ from }) => from,
  );
  const found = new Map<string, string>();
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    const at = path.indexOf(file);
    if (at >= 0) {
      const circle = path.slice(at);
      found.set([...circle].sort().join(), [...circle, file].join(' → '));
      return;
    }
    if (done.has(file)) return;
    for (const { to } of next.get(file) ?? []) visit(to, [...path, file]);
    done.add(file);
  };
  for (const file of next.keys()) visit(file, []);
  return [...found.values()].map((circle) => `a circle: ${circle}`);
};
