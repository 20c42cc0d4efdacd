/**
 * Bytes that are not what the formats of the evidence say: a note that cannot be read, a leaf with bytes left over. Not a bug, and
 * not for the operator of a daemon alone: the message is a line in the report of a verifier, so it names what is wrong without
 * the bytes themselves.
 */
export class EvidenceFault extends Error {
  override readonly name = 'EvidenceFault';
}
