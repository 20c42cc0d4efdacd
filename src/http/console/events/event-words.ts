import type { Defect } from '../../../ingest/entries/entry.ts';

const words: Readonly<Record<Defect, string>> = {
  not_an_object: 'The entry is not a JSON object, so none of its columns can be filled.',
  id_missing: 'It has no id. A hash of its content stands for it.',
  id_unusable:
    'Its id is not a text that can be stored, or looks like one of our hashes. A hash of its content is used as the id.',
  id_too_long: 'Its id is too long for an index. A hash of the id stands for it.',
  column_too_long: 'A value is too long for an index. The column has its beginning; the raw entry has all of it.',
  time_missing: 'It has no time. It sorts before everything else and is found by searches without a beginning.',
  time_unreadable:
    'Its time cannot be read (RFC 3339). It sorts before everything else and is found by searches without a beginning.',
  nul_character: 'A text in it holds the character NUL, which columns show as U+FFFD.',
  lone_surrogate: 'A text in it holds half of a surrogate pair, which columns show as U+FFFD.',
  number_out_of_range: 'A number in it is too large, too small or too long for a database.',
  nested_too_deeply: 'It is nested more deeply than a database can parse; it is kept as text.',
  invalid_utf8: 'It holds bytes that are no UTF-8; U+FFFD stands for them.',
  refused_by_database: 'PostgreSQL does not take it as JSON; it is kept as text.',
};

/** What a defect means, for people. A name that a later version has added stands for itself. */
export const defectInWords = (defect: string): string => words[defect as Defect] ?? '';
