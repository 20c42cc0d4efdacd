import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import process from 'node:process';
import {
  type Document,
  type ErrorCode,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  visit,
  type YAMLMap,
} from 'yaml';
import { nearest } from '../../base/text.ts';
import { databasePasswords } from '../../postgres/database-url.ts';
import { sinkSecrets } from '../../sinks/registry.ts';
import { secretNames } from './secret-settings.ts';
import { foreignFault } from './settings-file.ts';
import { type Fault, formOf, keyOf, type Place, type Places, settingGroups, settingsByKey } from './settings-list.ts';

interface YamlSettings {
  readonly settings: Readonly<Record<string, string>>;
  readonly places: Places;
  readonly faults: readonly Fault[];
}

/** More of them are no configuration, but an attempt to fill the memory. */
const MAX_ALIASES = 100;

/** Never throws, and no fault holds a value: each may be a secret, by mistake. */
export const readYamlSettings = (text: string, file: string): YamlSettings => {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(1, line), column: Math.max(1, col) };
  };
  const broken = yamlFaults(document, placeAt);
  // What a document means that is not one can only be guessed; a key that is there twice leaves the rest as it is.
  if (document.errors.some(({ code }) => code !== 'DUPLICATE_KEY'))
    return { settings: {}, places: new Map(), faults: broken };
  const reader = new Reader(document, placeAt);
  reader.readTags();
  reader.readRoot();
  return { settings: reader.settings, places: reader.places, faults: [...broken, ...reader.faults] };
};

class Reader {
  readonly settings: Record<string, string> = {};
  readonly places = new Map<string, Place>();
  readonly faults: Fault[] = [];
  readonly #document: Document;
  readonly #placeAt: (offset: number) => Place;

  constructor(document: Document, placeAt: (offset: number) => Place) {
    this.#document = document;
    this.#placeAt = placeAt;
  }

  readTags(): void {
    visit(this.#document, {
      Node: (_key, node) => {
        if (!isAlias(node) && node.tag !== undefined)
          this.#fault(node, 'tags (such as !!str) are refused: write the value alone');
      },
    });
  }

  readRoot(): void {
    const { contents } = this.#document;
    if (contents === null || isEmpty(contents)) return;
    if (isMap(contents)) this.#readMap(contents, '');
    else this.#fault(contents, 'the file must be a map of settings, such as "api_budget: 900"');
  }

  #readMap(map: YAMLMap, group: string): void {
    for (const pair of map.items) {
      const path = `${group}${keyText(pair)}`;
      const value = this.#resolved(pair.value);
      const name = settingsByKey.get(path);
      if (name !== undefined) this.#readSetting(name, pair, value);
      else if (group !== '' || !settingGroups.has(path)) this.#fault(pair.key, unknownKey(path));
      else if (isMap(value)) this.#readMap(value, `${path}.`);
      else if (!isEmpty(value))
        this.#fault(pair.value, `${path} must be a map, with keys such as ${keysOf(path)} below it`);
    }
  }

  #readSetting(name: string, pair: Pair, value: unknown): void {
    if (isEmpty(value)) return;
    const text = this.#textOf(name, value, pair);
    if (text === undefined || text === '') return;
    this.settings[name] = text;
    this.places.set(name, this.#placeOf(isScalar(value) ? pair.value : pair.key));
    if (isByName(formOf(name))) this.#notePlaces(name, value);
  }

  #textOf(name: string, value: unknown, pair: Pair): string | undefined {
    const form = formOf(name);
    if (isByName(form)) return this.#textByName(name, value, pair);
    if (isScalar(value)) return scalarText(value);
    if (isSeq(value) && (form === 'list' || form === 'filters')) return this.#listText(name, value.items, pair);
    const wanted = form === 'text' ? 'text' : form === 'number' ? 'a number' : 'a list, or text as in the environment';
    return this.#fault(pair.value, `${keyOf(name)} must be ${wanted}`);
  }

  #listText(name: string, items: readonly unknown[], pair: Pair): string | undefined {
    if (items.length === 0 && name === 'ORGTRAIL_SETTLE') {
      return this.#fault(pair.value, `${keyOf(name)} is an empty list: write none, or leave it out for the default`);
    }
    const isFilter = formOf(name) === 'filters';
    const texts = items.map((item) => {
      const value = this.#resolved(item);
      const text = isScalar(value) && !isEmpty(value) ? scalarText(value) : '';
      const [, filter = '', wanted = ''] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
      if (isFilter && filter === '')
        return this.#fault(item, `${keyOf(name)} must have items such as action_type.not=view`);
      if (text === '') return this.#fault(item, `${keyOf(name)} must have items of text`);
      return isFilter ? `${encodeURIComponent(filter)}=${encodeURIComponent(wanted)}` : text;
    });
    return texts.includes(undefined) ? undefined : texts.join(isFilter ? '&' : ',');
  }

  /** Sinks and credentials are checked as those of the environment: as JSON. */
  #textByName(name: string, value: unknown, pair: Pair): string | undefined {
    if (!isMap(value)) return this.#fault(pair.value, `${keyOf(name)} must be a map of ${formOf(name)} by name`);
    try {
      return JSON.stringify(value.toJS(this.#document, { maxAliasCount: MAX_ALIASES }));
    } catch {
      return this.#fault(
        pair.key,
        `${keyOf(name)} has more aliases than the ${MAX_ALIASES} that are read, or one that leads to itself`,
      );
    }
  }

  #notePlaces(path: string, node: unknown): void {
    if (isMap(node)) {
      for (const pair of node.items) {
        const below = `${path}.${keyText(pair)}`;
        this.places.set(below, this.#placeOf(isScalar(pair.value) && !isEmpty(pair.value) ? pair.value : pair.key));
        this.#notePlaces(below, pair.value);
      }
    }
    if (isSeq(node)) {
      for (const [index, item] of node.items.entries()) this.places.set(`${path}.${index}`, this.#placeOf(item));
    }
  }

  #resolved(node: unknown): unknown {
    if (!isAlias(node)) return node;
    const meant = node.resolve(this.#document);
    if (meant === undefined)
      this.#fault(node, 'this alias has no anchor before it: text that begins with * belongs in quotes');
    return meant;
  }

  #placeOf(node: unknown): Place {
    return this.#placeAt((node as Node | null)?.range?.[0] ?? 0);
  }

  #fault(node: unknown, message: string): undefined {
    this.faults.push({ message, place: this.#placeOf(node) });
  }
}

const isByName = (form: string): boolean => form === 'sinks' || form === 'credentials';

const keyText = ({ key }: Pair): string => (isScalar(key) ? String(key.value) : '');

/** As it is written: 1e3, 0x10 and 0042 mean what they look like. */
const scalarText = (scalar: { value: unknown; source?: string | undefined }): string =>
  typeof scalar.value === 'string' ? scalar.value : (scalar.source ?? String(scalar.value));

/** A key without a value counts as not set, as an empty variable does. */
const isEmpty = (value: unknown): boolean =>
  value === null || value === undefined || (isScalar(value) && (value.value === null || value.value === ''));

const unknownKey = (path: string): string => {
  if (path === '') return 'a key must be the name of a setting';
  const shown = `${JSON.stringify(path.slice(0, 100).toWellFormed())} is not a setting`;
  // Named as a variable is, it is known; else the nearest may be meant.
  const meant = settingsByKey.has(keyOf(path)) ? keyOf(path) : undefined;
  const near = meant ?? nearest(path, [...settingsByKey.keys(), ...settingGroups], 1)[0];
  return near === undefined ? `${shown} of this version` : `${shown}; did you mean ${near.replace('.', ': ')}?`;
};

const keysOf = (group: string): string =>
  [...settingsByKey.keys()]
    .filter((key) => key.startsWith(`${group}.`) && !key.endsWith('_file'))
    .map((key) => key.slice(group.length + 1))
    .join(', ');

export interface ConfigFile extends YamlSettings {
  readonly file: string | undefined;
  readonly warnings: readonly string[];
}

const MAX_BYTES = 1024 * 1024;
const READABLE_BY_ALL = 0o004;

/** Like `.env` the file must belong to this account or to root, and no other account may write to it; its faults say so. */
export const readConfigFile = (path: string | undefined): ConfigFile => {
  if (path === undefined) return { file: undefined, ...nothing, faults: [], warnings: [] };
  const file = resolve(path);
  const refused = (message: string): ConfigFile => ({
    file,
    ...nothing,
    faults: [{ message: `ORGTRAIL_CONFIG: ${message}` }],
    warnings: [],
  });
  try {
    const stats = statSync(file);
    if (!stats.isFile()) return refused(`${file} is not a regular file`);
    const foreign = foreignFault(file, stats, process.geteuid?.());
    if (foreign !== undefined) return refused(`${foreign.message} (${foreign.hint})`);
    if (stats.size > MAX_BYTES) return refused(`${file} is larger than 1 MiB`);
    const read = readYamlSettings(readFileSync(file, 'utf8'), file);
    return { file, ...read, warnings: (stats.mode & READABLE_BY_ALL) === 0 ? [] : openSecrets(file, read) };
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
    return refused(`${file} cannot be read (${String(error.code)})`);
  }
};

const nothing: Pick<YamlSettings, 'settings' | 'places'> = { settings: {}, places: new Map() };

const openSecrets = (file: string, { settings }: YamlSettings): string[] => {
  if (process.geteuid === undefined) return [];
  const names = secretNames.filter((name) => holdsSecret(name, settings[name] ?? ''));
  if (names.length === 0) return [];
  return [
    `${file} can be read by every account, and has a secret in ${names.map(keyOf).join(', ')}: chmod o-r ${file}`,
  ];
};

const holdsSecret = (name: string, text: string): boolean => {
  if (name === 'DATABASE_URL') return databasePasswords(text).length > 0;
  if (name === 'ORGTRAIL_SINKS') return sinkSecrets.some((key) => text.includes(`"${key}":`));
  if (name === 'CLOUDFLARE_CREDENTIALS') return /"(?:token|key)":/.test(text);
  return text !== '';
};

/** What the environment has, itself or as `NAME_FILE`, counts in place of the file's. */
export const settingsBelow = (
  { settings }: YamlSettings,
  environment: Readonly<Record<string, string>>,
): Record<string, string> =>
  Object.fromEntries(
    Object.entries(settings).filter(([name]) => {
      const plain = name.replace(/_FILE$/, '');
      return environment[plain] === undefined && environment[`${plain}_FILE`] === undefined;
    }),
  );

const QUOTES = 'text that begins with * & ! @ % or ` and text with a colon and a space in it must be quoted';

/** Words of our own: those of the parser quote the file, secrets in it included. */
const words: Partial<Record<ErrorCode, string>> = {
  DUPLICATE_KEY: 'this key is a duplicate',
  TAB_AS_INDENT: 'a tab cannot indent: use spaces',
  BAD_INDENT: 'this is indented less or more than the block that it belongs to',
  MISSING_CHAR: 'a quote, a bracket, a comma or the colon after a key is missing before this place',
  MULTIPLE_DOCS: 'a second document begins here: the file must have one',
  BAD_DQ_ESCAPE: 'this is not an escape sequence of YAML: in single quotes a backslash stands for itself',
  RESOURCE_EXHAUSTION: 'this is nested too deep',
  BAD_ALIAS: QUOTES,
  BAD_SCALAR_START: QUOTES,
  UNEXPECTED_TOKEN: QUOTES,
  BLOCK_AS_IMPLICIT_KEY: `this is indented wrong, or needs quotes: ${QUOTES}`,
};

/** The first of each line: the others follow from it. */
const yamlFaults = (document: Document, placeAt: (offset: number) => Place): readonly Fault[] => {
  const byLine = new Map<number, Fault>();
  for (const { code, pos } of document.errors) {
    const place = placeAt(pos[0]);
    if (!byLine.has(place.line)) byLine.set(place.line, { message: words[code] ?? 'this is not valid YAML', place });
  }
  return [...byLine.values()];
};
