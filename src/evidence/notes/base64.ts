import { EvidenceFault } from '../evidence-fault.ts';

/**
 * The bytes of a base64 text (RFC 4648, section 4). Throws an EvidenceFault for a text that is not exactly what these bytes are
 * written as: missing padding, stray bits, letters of base64url, white space. So no two texts say the same. `what` names the text.
 */
export const bytesOfBase64 = (text: string, what: string): Buffer => {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) throw new EvidenceFault(`${what} is not base64`);
  return bytes;
};
