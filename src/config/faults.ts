import { OrgtrailError } from '../errors.ts';
import { keyOf } from './settings-list.ts';

/** Where something stands in a file of settings; lines and columns count from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** Something wrong with the settings. The message holds no secret. */
export interface Fault {
  readonly message: string;
  /** Undefined for settings that are not in the YAML file. */
  readonly place?: Place | undefined;
}

/** By the name of a setting, and below it by path: `ORGTRAIL_SINKS.siem.url`. */
export type Places = ReadonlyMap<string, Place>;

/** `/etc/orgtrail.yaml:3:1`. */
export const describePlace = ({ file, line, column }: Place): string => `${file}:${line}:${column}`;

export const describeFault = ({ message, place }: Fault): string =>
  place === undefined ? message : `${describePlace(place)}: ${message}`;

/** In the order in which they are read and mended: first those without a place, then from the top of the file on. */
export const inOrder = (faults: readonly Fault[]): readonly Fault[] =>
  faults.toSorted(
    ({ place: a }, { place: b }) => (a?.line ?? 0) - (b?.line ?? 0) || (a?.column ?? 0) - (b?.column ?? 0),
  );

/**
 * A message about settings, by their names as variables, as a fault of the file if one of them is there: at the place of the first,
 * and with the keys that they have there.
 */
export const locateFault = (message: string, places: Places): Fault => {
  const paths = [...message.matchAll(NAMES)].map(([path]) => path.split('.'));
  const candidates = paths.flatMap((path) => path.flatMap((_, index) => pathsTo(path.slice(0, path.length - index))));
  const place = candidates.map((candidate) => places.get(candidate)).find((found) => found !== undefined);
  const named = message.replace(NAMES, (path) => {
    const [name = '', ...below] = path.split('.');
    return pathsTo([name]).some((candidate) => places.has(candidate)) ? [keyOf(name), ...below].join('.') : path;
  });
  return { message: named, place };
};

const NAMES = /\b(?:ORGTRAIL|CLOUDFLARE|DATABASE)_[A-Z_]+(?:\.[\w-]+)*/g;

/** A secret that comes from a file has the place at which that file is named. */
const pathsTo = (path: readonly string[]): string[] => [
  path.join('.'),
  `${path.join('.')}_${path.length > 1 ? 'file' : 'FILE'}`,
];

/** All faults, one a line. */
export const configurationError = (faults: readonly string[]): OrgtrailError =>
  new OrgtrailError(
    'configuration',
    `${faults.length === 1 ? 'configuration error' : `${faults.length} configuration errors`}:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`,
    {
      hint: 'settings come from the environment, from .env and from the file of ORGTRAIL_CONFIG; docs/reference/settings.md lists them all',
    },
  );
