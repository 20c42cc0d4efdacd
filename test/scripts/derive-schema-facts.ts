// Derives test/support/formats/{ocsf,ecs}-facts.json, which the formats are validated against, from the schema data of OCSF and ECS:
//   node test/scripts/derive-schema-facts.ts ocsf-1.5.0.json fields.csv
// Facts alone: classes, attributes, requirements, types and enums. No descriptions.
import { readFileSync, writeFileSync } from 'node:fs';
import type { OcsfAttribute, OcsfObject, OcsfSchema } from '../support/formats/schema-facts.ts';

const [ocsfFile, ecsFile] = process.argv.slice(2);
if (ocsfFile === undefined || ecsFile === undefined)
  throw new Error('two files are needed: the JSON of OCSF, the CSV of ECS');

const attributeFacts = ({
  type,
  object_type,
  requirement,
  is_array,
  enum: values,
  sibling,
  profile,
}: OcsfAttribute) => ({
  type,
  object_type,
  requirement,
  is_array,
  enum: values,
  sibling,
  profile,
});

const objectFacts = ({ attributes, constraints }: OcsfObject): OcsfObject => ({
  attributes: Object.fromEntries(
    Object.entries(attributes).map(([name, attribute]) => [name, attributeFacts(attribute) as OcsfAttribute]),
  ),
  constraints,
});

/** What the classes can hold, and what that can hold. */
const reachable = ({ classes, objects }: OcsfSchema): string[] => {
  const found = new Set<string>();
  const visit = ({ attributes }: OcsfObject): void => {
    for (const { object_type: name } of Object.values(attributes)) {
      if (name === undefined || found.has(name) || objects[name] === undefined) continue;
      found.add(name);
      visit(objects[name]);
    }
  };
  for (const each of Object.values(classes)) visit(each);
  return [...found].sort();
};

const ocsfFacts = (schema: OcsfSchema): OcsfSchema => ({
  version: schema.version,
  classes: Object.fromEntries(
    Object.entries(schema.classes).map(([name, each]) => [name, { uid: each.uid, ...objectFacts(each) }]),
  ),
  objects: Object.fromEntries(reachable(schema).map((name) => [name, objectFacts(schema.objects[name] as OcsfObject)])),
  types: Object.fromEntries(
    Object.entries(schema.types).map(([name, { type, regex, max_len, range }]) => [
      name,
      { type, regex, max_len, range },
    ]),
  ),
});

/** Rows of a CSV file with quoted cells, which may hold line breaks. */
const csvRows = (text: string): string[][] => {
  const rows: string[][] = [[]];
  for (const [, quoted, plain = '', end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/g)) {
    rows.at(-1)?.push(quoted?.replaceAll('""', '"') ?? plain);
    if (end !== ',') rows.push([]);
  }
  return rows.filter((row) => row.length > 1);
};

const ecsFacts = (text: string): Record<string, string> => {
  const [header = [], ...rows] = csvRows(text);
  const [field = 0, type = 0, normalization = 0] = ['Field', 'Type', 'Normalization'].map((name) =>
    header.indexOf(name),
  );
  return Object.fromEntries(
    rows.map((row) => [row[field] ?? '', `${row[type]}${row[normalization] === 'array' ? '[]' : ''}`]),
  );
};

const write = (name: string, facts: object): void =>
  writeFileSync(new URL(`../support/formats/${name}`, import.meta.url), `${JSON.stringify(facts)}\n`);
write('ocsf-facts.json', ocsfFacts(JSON.parse(readFileSync(ocsfFile, 'utf8'))));
write('ecs-facts.json', ecsFacts(readFileSync(ecsFile, 'utf8')));
