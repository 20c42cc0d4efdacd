import type { SigmaCorrelation, SigmaRule } from './sigma-rules.ts';

/** A parsed event; fields are named by their path, with dots. */
export type LogEvent = Readonly<Record<string, unknown>>;
type Placeholders = Readonly<Record<string, string>>;
type Test = (event: LogEvent) => boolean;

const fieldOf = (event: LogEvent, path: string): unknown =>
  path
    .split('.')
    .reduce<unknown>(
      (part, key) =>
        typeof part === 'object' && part !== null && Object.hasOwn(part, key)
          ? (part as Record<string, unknown>)[key]
          : undefined,
      event,
    );

const expand = (text: string, placeholders: Placeholders): string =>
  text.replace(/%(\w+)%/g, (_, name: string) => {
    const value = placeholders[name];
    if (value === undefined) throw new Error(`no value for the placeholder ${name}`);
    return value;
  });

const ways: Readonly<Record<string, (field: string, text: string) => boolean>> = {
  '': (field, text) => field === text,
  contains: (field, text) => field.includes(text),
  startswith: (field, text) => field.startsWith(text),
  endswith: (field, text) => field.endsWith(text),
};

/** One value of one field. Knows exactly the modifiers that deploy/sigma uses, and throws on others. */
const matcher = (modifiers: string, given: string | number, placeholders: Placeholders): ((f: unknown) => boolean) => {
  if (modifiers === 'gte') return (field) => typeof field === 'number' && field >= Number(given);
  if (typeof given === 'number') return (field) => modifiers === '' && field === given;
  if (/[*?\\]/.test(given.replaceAll('\\*', ''))) throw new Error(`wildcards are not supported: ${given}`);
  const [way = '', ...more] = modifiers.replace(/\|?expand$/, '').split('|');
  const plain = given.replaceAll('\\*', '*');
  const text = (modifiers.endsWith('expand') ? expand(plain, placeholders) : plain).toLowerCase();
  const matches = ways[way];
  if (matches === undefined || more.length > 0) throw new Error(`unknown modifiers: ${modifiers}`);
  return (field) => typeof field === 'string' && matches(field.toLowerCase(), text);
};

const allOf = (map: object, placeholders: Placeholders): Test => {
  const tests = Object.entries(map).map(([key, given]): Test => {
    const [path = '', ...modifiers] = key.split('|');
    const matchers = [given].flat().map((value) => matcher(modifiers.join('|'), value, placeholders));
    return (event) => matchers.some((matches) => matches(fieldOf(event, path)));
  });
  return (event) => tests.every((matches) => matches(event));
};

/** `a and (b or not c) and not 1 of d_*`, by recursive descent: or, then and, then not. */
class Condition {
  readonly #words: string[];
  readonly #searches: ReadonlyMap<string, Test>;

  constructor(text: string, searches: ReadonlyMap<string, Test>) {
    this.#words = text.match(/[()]|[^\s()]+/g) ?? [];
    this.#searches = searches;
  }

  read(): Test {
    const test = this.#either();
    if (this.#words.length > 0) throw new Error(`left over in the condition: ${this.#words.join(' ')}`);
    return test;
  }

  #takes(word: string): boolean {
    if (this.#words[0] !== word) return false;
    this.#words.shift();
    return true;
  }

  #either(): Test {
    const tests = [this.#both()];
    while (this.#takes('or')) tests.push(this.#both());
    return (event) => tests.some((test) => test(event));
  }

  #both(): Test {
    const tests = [this.#one()];
    while (this.#takes('and')) tests.push(this.#one());
    return (event) => tests.every((test) => test(event));
  }

  #one(): Test {
    if (this.#takes('not')) {
      const test = this.#one();
      return (event) => !test(event);
    }
    if (this.#takes('(')) {
      const test = this.#either();
      if (!this.#takes(')')) throw new Error('a parenthesis is not closed');
      return test;
    }
    const word = this.#words.shift() ?? '';
    if (word === '1' && this.#takes('of')) return this.#anyOf(this.#words.shift() ?? '');
    const search = this.#searches.get(word);
    if (search === undefined) throw new Error(`no search is named ${word}`);
    return search;
  }

  #anyOf(pattern: string): Test {
    const prefix = pattern.replace(/\*$/, '');
    const tests = [...this.#searches].filter(([name]) => name.startsWith(prefix)).map(([, test]) => test);
    if (!pattern.endsWith('*') || tests.length === 0) throw new Error(`nothing is like ${pattern}`);
    return (event) => tests.some((test) => test(event));
  }
}

/** The rule as a test of events. Throws on what it does not know, so that no part of a rule is passed over. */
export const compileRule = (rule: SigmaRule, placeholders: Placeholders): Test => {
  const { condition, ...named } = rule.detection;
  const searches = Object.entries(named).map(([name, search]): [string, Test] => {
    const alternatives = [search].flat().map((map) => allOf(map, placeholders));
    return [name, (event) => alternatives.some((matches) => matches(event))];
  });
  return new Condition(condition, new Map(searches)).read();
};

const units: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/**
 * The events with which an event_count correlation becomes true: each one that makes enough of them within the timespan
 * where the one before it in its group did not. `events` are those that the rule beneath has found.
 */
export const correlate = (
  correlation: SigmaCorrelation['correlation'],
  events: readonly LogEvent[],
): readonly LogEvent[] => {
  const [, amount, unit = ''] = /^(\d+)([smhd])$/.exec(correlation.timespan) ?? [];
  const spanMs = Number(amount) * (units[unit] ?? Number.NaN);
  const needed = correlation.condition.gte;
  const timeOf = (event: LogEvent) => Date.parse(String(fieldOf(event, '@timestamp')));
  const order = (a: LogEvent, b: LogEvent) =>
    timeOf(a) - timeOf(b) || Number(fieldOf(a, 'event.sequence')) - Number(fieldOf(b, 'event.sequence'));
  const groups = Map.groupBy(events.toSorted(order), (event) =>
    JSON.stringify(correlation['group-by'].map((field) => fieldOf(event, field) ?? null)),
  );
  return [...groups.values()].flatMap((group) => {
    const fires = group.map((event, index) => {
      const first = group[index - needed + 1];
      return first !== undefined && timeOf(event) - timeOf(first) <= spanMs;
    });
    return group.filter((_, index) => fires[index] === true && fires[index - 1] !== true);
  });
};
