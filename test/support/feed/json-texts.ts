/** Where the JSON value that begins at `start` ends. Looks at nothing but brackets and strings: the text is valid. */
const endOfValue = (text: string, start: number): number => {
  let depth = 0;
  let at = start;
  for (;;) {
    const character = text[at];
    if (character === undefined) return at;
    if (character === '"') {
      at += 1;
      while (text[at] !== '"') {
        if (at >= text.length) throw new Error(`a string that does not end, from ${start}`);
        at += text[at] === '\\' ? 2 : 1;
      }
    } else if (character === '{' || character === '[') depth += 1;
    else if (character === '}' || character === ']' || character === ',' || character === ':' || /\s/.test(character)) {
      if (depth === 0) return at;
      if (character === '}' || character === ']') depth -= 1;
    }
    at += 1;
    if (depth === 0 && '"}]'.includes(character)) return at;
  }
};

const afterSpace = (text: string, start: number): number =>
  start + (/^\s*/.exec(text.slice(start, start + 1_000))?.[0].length ?? 0);

/** The exact texts of JSON values that stand one after the other, as HEC takes them. */
export const jsonValues = (text: string): string[] => {
  const values: string[] = [];
  let at = afterSpace(text, 0);
  while (at < text.length) {
    const end = endOfValue(text, at);
    if (end === at) throw new Error(`no JSON value at ${at}`);
    values.push(text.slice(at, end));
    at = afterSpace(text, end);
  }
  return values;
};

/** The exact texts of the elements of an array. */
export const jsonElements = (array: string): string[] => {
  const elements: string[] = [];
  let at = afterSpace(array, 1);
  while (array[at] !== ']') {
    const end = endOfValue(array, at);
    elements.push(array.slice(at, end));
    at = afterSpace(array, end);
    if (array[at] === ',') at = afterSpace(array, at + 1);
  }
  return elements;
};

/** The exact texts of an object's values. */
export const jsonMembers = (object: string): ReadonlyMap<string, string> => {
  const members = new Map<string, string>();
  let at = afterSpace(object, 1);
  while (object[at] !== '}') {
    const endOfKey = endOfValue(object, at);
    const key: unknown = JSON.parse(object.slice(at, endOfKey));
    at = afterSpace(object, afterSpace(object, endOfKey) + 1);
    const end = endOfValue(object, at);
    members.set(String(key), object.slice(at, end));
    at = afterSpace(object, end);
    if (object[at] === ',') at = afterSpace(object, at + 1);
  }
  return members;
};
