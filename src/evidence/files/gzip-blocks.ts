import { constants, crc32, deflateRawSync } from 'node:zlib';

/** RFC 1952: deflate, no flags, no time, an unknown system. So the same content gives the same file. */
const HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
const MODULUS = 2 ** 32;

/**
 * Packs a file block by block, each for itself, into one member of gzip: no reader has to know that there may be several. Not by a
 * stream, since rows of COPY come without waiting.
 */
export class GzipBlocks {
  #crc = 0;
  #bytes = 0;

  /** The packed block, after the header if it is the first. */
  pack(block: Uint8Array): Buffer {
    const header = this.#bytes === 0 ? [HEADER] : [];
    this.#crc = crc32(block, this.#crc);
    this.#bytes += block.length;
    return Buffer.concat([...header, deflateRawSync(block, { finishFlush: constants.Z_SYNC_FLUSH })]);
  }

  /** What ends the file: an empty last block, checksum and length. */
  end(): Buffer {
    const header = this.#bytes === 0 ? [HEADER] : [];
    const trailer = Buffer.alloc(8);
    trailer.writeUInt32LE(this.#crc);
    trailer.writeUInt32LE(this.#bytes % MODULUS, 4);
    return Buffer.concat([...header, deflateRawSync(Buffer.alloc(0)), trailer]);
  }
}
