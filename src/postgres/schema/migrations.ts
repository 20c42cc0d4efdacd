import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageFile } from '../../base/package-files.ts';

/**
 * What `drizzle/` holds. `schema/` is the schema, by subject: an empty database gets it as a whole, recorded under the number of the newest
 * migration, and no migration. `NNNN_name.sql` are the migrations since 0.2.0: they bring an older database to the same schema. So a new
 * migration comes with a change of `schema/`; test/long/postgres/baseline.test.ts compares the two, in every detail.
 */
const folder = packageFile('drizzle');

/** In the order in which they are applied: views and triggers need what they name, functions do not. */
const SUBJECTS = 'sources events coverage commit feed sinks findings archive evidence access search roles'.split(' ');

/**
 * A migration is known by its number, and recorded as so many milliseconds after this: as 0.2.0 did, which used drizzle's table. The function
 * orgtrail_schema_version, and with it the journal of the evidence, reads the number from there.
 */
const FIRST_MADE_MS = 1_795_550_000_000;

/** What 0.2.0 has recorded when it has applied all of its migrations: a database that lacks one of them is too old. */
export const of020: readonly number[] = [
  ...Array.from({ length: 24 }, (_, index) => index),
  ...[25, 26, 29, 30, 32, 33, 34, 35, 36, 38, 41, 43, 46, 47, 48, 50, 52, 53, 55, 57, 58, 59, 60, 61, 62, 65],
].map((number) => FIRST_MADE_MS + number);

export interface Migration {
  /** Orders them, and tells them apart. */
  readonly madeMs: number;
  readonly hash: string;
  readonly statements: readonly string[];
}

const ofTexts = (number: number, texts: readonly string[], statements: readonly string[]): Migration => ({
  madeMs: FIRST_MADE_MS + number,
  hash: createHash('sha256').update(texts.join('')).digest('hex'),
  statements,
});

/** Those since 0.2.0, in order. */
export const readMigrations = (): readonly Migration[] =>
  readdirSync(folder)
    .filter((name) => /^\d{4}_\w+\.sql$/.test(name))
    .sort()
    .map((name) => {
      const text = readFileSync(join(folder, name), 'utf8');
      return ofTexts(Number(name.slice(0, 4)), [text], text.split('--> statement-breakpoint'));
    });

/** The schema as a whole, a statement for each subject. */
export const readBaseline = (): Pick<Migration, 'hash' | 'statements'> => {
  const texts = SUBJECTS.map((subject) => readFileSync(join(folder, 'schema', `${subject}.sql`), 'utf8'));
  // Functions name each other and views, in whatever order. Those with the rights of their owner find nothing but what is PostgreSQL's or
  // orgtrail's own: they keep the path that is set here (`set search_path from current`), in whichever schema that is.
  const settings = `set local check_function_bodies = off;
    select set_config('search_path', format('%I, pg_temp', current_schema()), true)`;
  return ofTexts(0, texts, [settings, ...texts]);
};
