import { parseS3Address, type S3Address } from '../s3/s3-address.ts';

/** Where the archive is, as ORGTRAIL_ARCHIVE names it. */
export type ArchiveTarget =
  | { readonly kind: 's3'; readonly name: string; readonly address: S3Address }
  /** `name` is what it is called in the database and in messages; the directory has an absolute path. */
  | { readonly kind: 'file'; readonly name: string; readonly directory: string };

/** Returns why the text cannot be read, as the end of a sentence; nothing of it is repeated, since it may have a secret by mistake. */
export const parseArchive = (text: string): ArchiveTarget | string => {
  const trimmed = text.trim();
  if (trimmed.startsWith('s3:')) {
    const address = parseS3Address(trimmed);
    return typeof address === 'string' ? address : { kind: 's3', name: address.name, address };
  }
  const directory = /^file:(?:\/\/)?(\/[^/\0][^\0]*?)\/?$/.exec(trimmed)?.[1];
  if (directory === undefined) {
    return 'must be like s3://bucket/prefix, or like file:///mnt/archive with an absolute path';
  }
  return { kind: 'file', name: `file://${directory}`, directory };
};
