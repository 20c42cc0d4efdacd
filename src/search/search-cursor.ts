/** Where a page of a search begins: beside this event, in the order (time, position). */
export interface SearchCursor {
  /** `older`: what comes after it on pages, newest first; `newer`: what comes before. */
  readonly direction: 'older' | 'newer';
  /** As PostgreSQL writes it in UTC, to the microsecond; `-infinity` for entries without a time. */
  readonly time: string;
  /** 0 for the bare time. */
  readonly position: number;
  /** What the archive's part of a search knows of what it looked at already. */
  readonly known?: string;
}

const instant =
  /^(?:\d{4,5}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]) (?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?\+00(?: BC)?|-infinity)$/;
/** Of the texts that are cursors. */
export const MAX_CURSOR_LENGTH = 700;

/** Opaque to clients: base64url. */
export const printCursor = ({ direction, time, position, known }: SearchCursor): string =>
  btoa(`${direction === 'older' ? '<' : '>'}${position} ${time}${known === undefined ? '' : `|${known}`}`)
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');

/** Undefined for whatever `printCursor` has not written. */
export const readCursor = (text: string): SearchCursor | undefined => {
  if (text.length > MAX_CURSOR_LENGTH || !/^[A-Za-z0-9_-]+$/.test(text)) return undefined;
  const match = /^([<>])(0|[1-9]\d{0,15}) ([^|]+)(?:\|([0-9a-f:/,-]+))?$/.exec(decode(text));
  const [, sign, digits, time = '', known] = match ?? [];
  const position = Number(digits);
  if (match === null || !Number.isSafeInteger(position) || !instant.test(time)) return undefined;
  const cursor: SearchCursor = {
    direction: sign === '<' ? 'older' : 'newer',
    time,
    position,
    ...(known !== undefined && { known }),
  };
  return printCursor(cursor) === text ? cursor : undefined;
};

const decode = (text: string): string => {
  try {
    return atob(text.replaceAll('-', '+').replaceAll('_', '/'));
  } catch {
    return '';
  }
};
