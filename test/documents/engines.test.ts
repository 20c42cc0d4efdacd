import { describe, expect, test } from 'vitest';
import { documentedSql, documentedStatements } from '../lab/engines/documented.ts';

// `npm run lab engines` runs these statements in engines that are no dependency of this package.

describe.each(Object.entries(documentedSql))('the statements "%s" of the lab', (name, { page, places }) => {
  test(`stand in ${page}, with the places that a reader fills`, () => {
    const statements = documentedStatements(name as keyof typeof documentedSql);
    expect(statements.length).toBeGreaterThan(0);
    for (const place of places) expect(statements.join('\n')).toContain(place);
  });
});
