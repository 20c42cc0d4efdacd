import fc from 'fast-check';
import { whiteSpace } from './json-text.ts';

/** How the same entries may come: everything that an envelope may look like without being another one. */
export interface Envelope {
  readonly space: string;
  readonly byteOrderMark: boolean;
  /** Every U+FFFD of the page as a byte that is no UTF-8. */
  readonly damaged: boolean;
  /** A `result` that is none of the top level. */
  readonly decoy: string;
  readonly infoFirst: boolean;
  readonly keyEscaped: boolean;
}

export const anyEnvelope: fc.Arbitrary<Envelope> = fc.record({
  space: whiteSpace,
  byteOrderMark: fc.boolean(),
  damaged: fc.boolean(),
  decoy: fc.constantFrom('', '"errors":{"result":["decoy"]},'),
  infoFirst: fc.boolean(),
  keyEscaped: fc.boolean(),
});

/** The bytes of a response with these exact elements; `cursor` of the page that follows, if any. */
export const pageBody = (texts: readonly string[], cursor: string | undefined, envelope: Envelope): Buffer => {
  const { space } = envelope;
  const key = envelope.keyEscaped ? '"r\\u0065sult"' : '"result"';
  const result = `${envelope.decoy}${key}${space}:${space}[${space}${texts.join(`${space},${space}`)}${space}]`;
  const info = `"result_info":{"count":"${texts.length}","cursor":${JSON.stringify(cursor ?? '')}}`;
  const members = envelope.infoFirst
    ? [info, '"success":true', result]
    : ['"success":true', '"errors":[]', result, info];
  const text = `${space}{${members.join(`${space},`)}${space}}${space}`;
  const body = Buffer.from(`${envelope.byteOrderMark ? '\ufeff' : ''}${text}`);
  return envelope.damaged ? withInvalidBytes(body) : body;
};

const withInvalidBytes = (body: Buffer): Buffer =>
  Buffer.from(body.toString('latin1').replaceAll('\xef\xbf\xbd', '\xff'), 'latin1');
