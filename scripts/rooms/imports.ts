import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { parseAst } from 'rolldown/parseAst';

/** One import, export-from, dynamic import or imported type. Files are relative to the folder of sources. */
export interface Import {
  readonly from: string;
  /** A file of ours, or what was written for a package. */
  readonly to: string;
  readonly isPackage: boolean;
  readonly typesOnly: boolean;
}

/** Of a syntax tree. */
export interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [key: string]: unknown;
}

/** All TypeScript files below `source`, sorted, relative to it. */
export const sourceFiles = (source: string): string[] =>
  readdirSync(source, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .sort();

/** All imports of all files below `source`. Throws for a file that does not parse. */
export const readImports = (source: string): Import[] =>
  sourceFiles(source).flatMap((file) => importsOf(file, readFileSync(join(source, file), 'utf8')));

/** The imports of one file. `file` is relative to the folder of sources. */
export const importsOf = (file: string, text: string): Import[] => {
  const found: Import[] = [];
  walk(parse(text), (node) => {
    const specifier = specifierOf(node);
    if (specifier === undefined) return;
    const isPackage = !specifier.startsWith('.');
    const to = isPackage ? specifier : normalize(join(dirname(file), specifier));
    found.push({ from: file, to, isPackage, typesOnly: isTypesOnly(node) });
  });
  return found;
};

/** Throws for a text that is no TypeScript. */
export const parse = (text: string): Node => parseAst(text, { lang: 'ts' }) as unknown as Node;

const walk = (node: Node, visit: (node: Node) => void): void => {
  visit(node);
  for (const child of childrenOf(node)) walk(child, visit);
};

export const childrenOf = (node: Node): Node[] => Object.values(node).flat().filter(isNode);

export const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';

const sourced = [
  'ImportDeclaration',
  'ExportNamedDeclaration',
  'ExportAllDeclaration',
  'ImportExpression',
  'TSImportType',
];

const specifierOf = (node: Node): string | undefined => {
  if (!sourced.includes(node.type)) return undefined;
  const source = node['source'];
  if (!isNode(source)) return undefined;
  const value = source['value'];
  return typeof value === 'string' ? value : undefined;
};

const isTypesOnly = (node: Node): boolean => {
  if (node.type === 'TSImportType' || node['importKind'] === 'type' || node['exportKind'] === 'type') return true;
  const specifiers = node['specifiers'];
  return (
    Array.isArray(specifiers) &&
    specifiers.length > 0 &&
    specifiers.every((one: Node) => one['importKind'] === 'type' || one['exportKind'] === 'type')
  );
};
