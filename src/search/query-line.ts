import { printTerms, readTerms, type Term, type TermField, type TermsReading } from './terms/terms.ts';

/** Fields that say the same as a term with one value. */
export const plainFields = [
  'organization',
  'account',
  'zone',
  'actor',
  'action',
  'result',
  'product',
  'resource_type',
  'resource',
  'ray',
  'text',
] as const satisfies readonly TermField[];
type PlainField = (typeof plainFields)[number];

/** What was written in the fields of a search, the line among them. */
type Given = Partial<Record<PlainField | keyof TermsReading['settings'] | 'q', string>>;

const actorTerms: Readonly<Partial<Record<TermField, string>>> = {
  email: 'email',
  ip: 'ip',
  token: 'token',
  actor_id: 'id',
};

/**
 * Moves what the query line says into the fields that say the same, so that a search has one link however it was written, and leaves the
 * rest in the line. What a field already says holds as well. Faults are predicates to the line.
 */
export const takeLine = (given: Given): Pick<TermsReading, 'terms' | 'faults'> => {
  if (given.q === undefined) return { terms: [], faults: [] };
  const reading = readTerms(given.q);
  if (reading.faults.length > 0) return { terms: [], faults: reading.faults };
  const faults: string[] = [];
  const settings = Object.entries(reading.settings) as [keyof typeof reading.settings, string][];
  for (const [field, text] of settings) {
    if (given[field] === undefined || given[field] === text) given[field] = text;
    else faults.push(`has ${field}:${text}, but ${field} is ${given[field]} as well`);
  }
  const isSoleText = reading.terms.filter(({ field }) => field === 'text').length === 1;
  const rest = reading.terms.filter((term) => {
    const [field, text] = plainOf(term) ?? [];
    if (field === undefined || text === undefined || given[field] !== undefined || (field === 'text' && !isSoleText))
      return true;
    given[field] = text;
    return false;
  });
  if (rest.length > 0) given.q = printTerms(rest);
  else delete given.q;
  return { terms: rest, faults };
};

const plainOf = ({ field, isNegated, values }: Term): [PlainField, string] | undefined => {
  const [text = ''] = values;
  // Blanks at the ends of a parameter are taken away when its link is read.
  if (isNegated || values.length !== 1 || text !== text.trim()) return undefined;
  const kind = actorTerms[field];
  if (kind !== undefined) return ['actor', `${kind}:${text}`];
  const plain = plainFields.find((one) => one === field);
  if (plain === undefined) return undefined;
  // Beginnings are for actors alone; elsewhere a star is meant as it is.
  return plain !== 'actor' && plain !== 'text' && text.endsWith('*') ? undefined : [plain, text];
};
