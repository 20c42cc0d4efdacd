import { readFileSync } from 'node:fs';
import { OrgtrailError } from '../../errors.ts';

/** The bytes of a file that the user names. Throws OrgtrailError `usage`. */
export const readInput = (file: string): Buffer => {
  try {
    return readFileSync(file);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    throw new OrgtrailError('usage', `${file} cannot be read (${code})`);
  }
};
