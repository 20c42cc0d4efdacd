/** What a reader of CEF or LEEF makes of a line. */
export interface ReadLine {
  readonly header: readonly string[];
  /** In their order, so that a key that comes twice shows. */
  readonly fields: readonly (readonly [key: string, value: string])[];
}

const unescaped = (text: string): string =>
  text.replace(/\\(.)/g, (_, character: string) => ({ n: '\n', r: '\r' })[character] ?? character);

/** Reads CEF by its rules: seven header fields end at pipes without a backslash, keys at equals signs without one. */
export const readCef = (line: string): ReadLine => {
  const header = line.match(
    /^((?:[^|\\]|\\.)*)\|((?:[^|\\]|\\.)*)\|((?:[^|\\]|\\.)*)\|((?:[^|\\]|\\.)*)\|((?:[^|\\]|\\.)*)\|((?:[^|\\]|\\.)*)\|((?:[^|\\]|\\.)*)\|/,
  );
  if (header === null) throw new Error(`no CEF header: ${line}`);
  const fields: [string, string][] = [];
  let rest = line.slice(header[0].length);
  while (rest !== '') {
    const [whole, key = ''] = /^(\w+)=/.exec(rest) ?? [];
    if (whole === undefined) throw new Error(`no key: ${rest}`);
    rest = rest.slice(whole.length);
    // Up to the space before the next key: a word and an equals sign that is not escaped.
    const value = /^(?:[^\\=]|\\.)*?(?=$| \w+=)/s.exec(rest)?.[0];
    if (value === undefined) throw new Error(`no value: ${rest}`);
    fields.push([key, unescaped(value)]);
    rest = rest.slice(value.length + 1);
  }
  return { header: header.slice(1).map(unescaped), fields };
};

/** Reads LEEF 2.0 with the delimiter `x09`: nothing is escaped. */
export const readLeef = (line: string): ReadLine => {
  const [version = '', vendor = '', product = '', number = '', id = '', delimiter = '', ...rest] = line.split('|');
  if (delimiter !== 'x09') throw new Error(`another delimiter: ${line}`);
  const fields = rest
    .join('|')
    .split('\t')
    .map((field): [string, string] => [field.slice(0, field.indexOf('=')), field.slice(field.indexOf('=') + 1)]);
  return { header: [version, vendor, product, number, id], fields };
};
