import { describe, expect, it } from 'vitest';
import { printLine, printSearch, readSearch } from '../../../src/search/search.ts';
import { printTerms, readTerms, type Term, termFields } from '../../../src/search/terms/terms.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';

const term = (field: Term['field'], values: string[], isNegated = false): Term => ({ field, isNegated, values });
const nowMs = Date.UTC(2026, 0, 31);

describe('a query line', () => {
  it('has fields, exclusions, lists and text', () => {
    expect(readTerms('actor:mira* -action:view,login status:4xx "some text" plain').terms).toEqual([
      term('actor', ['mira*']),
      term('action', ['view', 'login'], true),
      term('status', ['4xx']),
      term('text', ['some text']),
      term('text', ['plain']),
    ]);
  });

  it('has quotes around what has blanks, commas or quotes', () => {
    expect(readTerms(String.raw`organization:"Acme, Inc." agent:"a \"b\" c",x -"not this"`).terms).toEqual([
      term('organization', ['Acme, Inc.']),
      term('agent', ['a "b" c', 'x']),
      term('text', ['not this'], true),
    ]);
  });

  it.each([
    ['acton:delete', 'has the unknown field "acton:"; did you mean "action:" or "actor:"?'],
    ['action:', 'has "action:" without a value'],
    ['action:a,,b', 'has "action:a,,b", which is no term'],
    ['action:,login', 'has "action:,login" without a value'],
    ['-action:,login', 'has "-action:,login" without a value'],
    ['--action:view', 'has "--action:view", which is excluded twice'],
    ['-resource-type:zone', 'has "-resource-type:zone", whose field is unknown; did you mean "resource_type:"?'],
    ['actor.email:mira*', 'whose field is unknown; did you mean "email:"?'],
    ['"open', 'has "\\"open", which is no term'],
    ['status:40', 'has status:40, which must be such as 403, 4xx, 400-499 or >=500'],
    ['action:*', 'has an empty value for action:'],
    ['-since:7d', 'has "-since:7d": since: is given once'],
  ])('%s is a fault that says what to write', (line, reason) => {
    const { faults } = readTerms(line);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain(reason);
  });

  it('takes words with a colon that are like no field for text', () => {
    expect(readTerms('2001:db8::1 example.com:443 -"--x" "resource-type:zone"').terms).toEqual([
      term('text', ['2001:db8::1']),
      term('text', ['example.com:443']),
      term('text', ['--x'], true),
      term('text', ['resource-type:zone']),
    ]);
  });

  it('is printed as a line that reads as the same terms', () => {
    const seed = 18;
    const random = seededRandom(seed);
    const pick = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)] as T;
    const letters = ['a', 'B', '7', ' ', ',', '"', '\\', ':', '-', '*x', 'é', '😀', '/', '\t'];
    for (let n = 0; n < 500; n += 1) {
      const terms = Array.from({ length: 1 + Math.floor(random() * 4) }, () => {
        const field = pick(termFields.filter((one) => one !== 'status'));
        const values = Array.from({ length: 1 + Math.floor(random() * 3) }, () =>
          Array.from({ length: 1 + Math.floor(random() * 6) }, () => pick(letters)).join(''),
        );
        return term(field, values, random() < 0.4);
      });
      const line = printTerms(terms);
      expect(readTerms(line), `seed ${seed}: ${line}`).toMatchObject({ terms, faults: [] });
    }
  });
});

describe('a search by a query line', () => {
  const linkOf = (query: Record<string, string>) => {
    const { search, faults } = readSearch(query, nowMs);
    expect(faults).toEqual([]);
    return printSearch(search).toString();
  };

  it('has the link of the same search by fields', () => {
    expect(linkOf({ q: 'actor:mira* result:failure since:7d changed:true' })).toBe(
      linkOf({ actor: 'mira*', result: 'failure', since: '7d', changed: 'true' }),
    );
    expect(linkOf({ q: 'ip:192.0.2.0/24 hello' })).toBe(linkOf({ actor: '192.0.2.0/24', text: 'hello' }));
  });

  it('keeps in the line what no field can say', () => {
    expect(
      new URLSearchParams(linkOf({ q: 'action:create,delete -actor:x result:failure a b action:cre*' })).get('q'),
    ).toBe('action:create,delete -actor:x a b action:cre*');
  });

  it('has the same blanks in its link', () => {
    for (const q of ['" foo"', '"foo "', 'actor:" x"', 'action:"\u00a0view"']) {
      const { search } = readSearch({ q }, nowMs);
      expect(readSearch(Object.fromEntries(printSearch(search)), nowMs).search, q).toEqual(search);
    }
  });

  it('has both what a field says and what the line says', () => {
    expect(linkOf({ action: 'create', q: 'action:delete' })).toBe('action=create&q=action%3Adelete');
    expect(readSearch({ since: '1h', q: 'since:7d' }, nowMs).faults).toEqual([
      { field: 'q', reason: 'has since:7d, but since is 1h as well' },
    ]);
  });

  it('is one line as a whole, which reads as the same search', () => {
    const query = {
      since: '7d',
      organization: 'Acme, Inc.',
      actor: 'mira*',
      text: '-x: y',
      defects: 'true',
      q: '-action:view status:4xx',
    };
    const { search } = readSearch(query, nowMs);
    expect(printSearch(readSearch({ q: printLine(search) }, nowMs).search).toString()).toBe(
      printSearch(search).toString(),
    );
  });
});
