// Derives test/support/formats/ocsf-facts.json, which the format is validated against, from the schema data of OCSF:
//   node scripts/derive-schema-facts.ts ocsf-1.5.0.json
// Facts alone: classes, attributes, requirements, types and enums. No descriptions.
import { readFileSync, writeFileSync } from 'node:fs';
import type { OcsfAttribute, OcsfObject, OcsfSchema } from '../test/support/formats/schema-facts.ts';

const [ocsfFile] = process.argv.slice(2);
if (ocsfFile === undefined) throw new Error('name the file of the JSON of OCSF');

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

const facts = ocsfFacts(JSON.parse(readFileSync(ocsfFile, 'utf8')));
writeFileSync(new URL('../test/support/formats/ocsf-facts.json', import.meta.url), `${JSON.stringify(facts)}\n`);
