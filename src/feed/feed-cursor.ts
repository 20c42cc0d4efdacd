/** Where a reader of the feed goes on, and how it is noticed that it cannot. */
export interface FeedPlace {
  /** All events up to here have been read. */
  readonly position: number;
  readonly feedId: string;
  /** A hash of the event at the position; undefined if none is kept there. */
  readonly check: string | undefined;
  /** The number of the last drop or jump that the reader has been told of; 0: none. */
  readonly dropped: number;
}

const MAX_LENGTH = 400;
const VERSION = '1';
/** A cursor that was cut off is none. */
const END = '.';
const wholeNumber = /^(?:0|[1-9]\d{0,15})$/;
/** Of feed ids and checks: no blank, which separates the parts. */
const word = /^[\w-]{1,64}$/;

/** Opaque to readers, who send it back as it is: base64url. */
export const printFeedCursor = ({ position, feedId, check, dropped }: FeedPlace): string =>
  btoa([VERSION, position, feedId, check ?? '', dropped, END].join(' '))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');

/** Undefined for whatever `printFeedCursor` has not written. */
export const readFeedCursor = (text: string): FeedPlace | undefined => {
  if (text.length > MAX_LENGTH || !/^[A-Za-z0-9_-]+$/.test(text)) return undefined;
  const [version, position = '', feedId = '', check = '', dropped = '', end, ...more] = decode(text).split(' ');
  const numbers = [position, dropped].every(
    (digits) => wholeNumber.test(digits) && Number.isSafeInteger(Number(digits)),
  );
  if (version !== VERSION || end !== END || !numbers || more.length > 0 || !word.test(feedId)) return undefined;
  if (check !== '' && !word.test(check)) return undefined;
  const place = {
    position: Number(position),
    feedId,
    check: check === '' ? undefined : check,
    dropped: Number(dropped),
  };
  return printFeedCursor(place) === text ? place : undefined;
};

const decode = (text: string): string => {
  try {
    return atob(text.replaceAll('-', '+').replaceAll('_', '/'));
  } catch {
    return '';
  }
};
