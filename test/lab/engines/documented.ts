import { sqlBlock, statementsOf } from '../../support/documents/page-sql.ts';

/** A block of SQL of a page that this study runs, and the texts of it that a reader replaces by their own. */
interface DocumentedSql {
  readonly page: string;
  /** What it begins with, or has in it if it begins with nothing of its own. */
  readonly words: string;
  readonly places: readonly string[];
}

const archive = 'https://audit-archive.s3.eu-central-1.amazonaws.com/orgtrail';
const objects = 'https://ACCOUNT_ID.r2.cloudflarestorage.com/BUCKET/PREFIX/202601*/*.ndjson.gz';
const sinks = { page: 'docs/sinks-s3.md', places: [objects, "'KEY_ID', 'SECRET'"] };

/** Also compared with the pages by test/documents/engines.test.ts. */
export const documentedSql = {
  months: {
    page: 'docs/query.md',
    words: '-- ClickHouse: the columns are those of the files',
    places: [archive, "'KEY', 'SECRET'"],
  },
  manifest: {
    page: 'docs/query.md',
    words: '-- ClickHouse: the objects of the manifest, and no others',
    places: [archive, "'KEY', 'SECRET'", 'FEED_ID'],
  },
  native: { ...sinks, words: '-- format native' },
  table: { ...sinks, words: '-- a table that drops what a replay brings twice' },
  ocsf: { ...sinks, words: '-- format ocsf' },
  duck: { page: 'docs/sinks-s3.md', words: 'read_json', places: ['s3://BUCKET/PREFIX/*/*.ndjson.gz'] },
} as const satisfies Readonly<Record<string, DocumentedSql>>;

/** The statements as the page has them, with these texts in their places. Throws if one of them is not there any more. */
export const documentedStatements = (
  name: keyof typeof documentedSql,
  puts: readonly string[] = documentedSql[name].places,
): readonly string[] => {
  const { page, words, places } = documentedSql[name];
  let sql = sqlBlock(page, words);
  for (const [at, place] of places.entries()) {
    if (!sql.includes(place)) throw new Error(`${page}: the statements of "${words}" do not have ${place}`);
    sql = sql.replaceAll(place, puts[at] ?? place);
  }
  return statementsOf(sql);
};
