const tokens = /"[^"\\]*(?:\\.[^"\\]*)*"|[[\]{},:]|[^\s"[\]{},:]+/gs;

/** The exact texts of its elements, if the top level of this JSON has one `result`, an array: not by orgtrail's way. */
export const resultElements = (text: string): readonly string[] | undefined => {
  let elements: string[] | undefined;
  let depth = 0;
  let [previous, key] = ['', ''];
  let inside = false;
  let [from, results] = [0, 0];
  for (const { 0: token, index } of text.matchAll(tokens)) {
    if (depth === 1 && token === ':') key = JSON.parse(previous);
    const begins = depth === 1 && previous === ':' && key === 'result';
    if (begins) results += 1;
    if (begins && token === '[') {
      elements = [];
      inside = true;
      from = index + 1;
    } else if (inside && depth === 2 && (token === ',' || token === ']')) {
      const element = text.slice(from, index).trim();
      if (element !== '') elements?.push(element);
      from = index + 1;
      inside = token === ',';
    }
    if (token === '[' || token === '{') depth += 1;
    if (token === ']' || token === '}') depth -= 1;
    previous = token;
  }
  return results === 1 ? elements : undefined;
};
