import { readFileSync } from 'node:fs';
import { OrgtrailError } from '../../errors.ts';

/** A file that an option names. Throws OrgtrailError `usage` if it cannot be read. */
export const readInput = (file: string): Buffer => {
  try {
    return readFileSync(file);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    throw new OrgtrailError('usage', `${file} cannot be read (${code})`);
  }
};

const MAX_REASON = 4_000;
const MAX_NAME = 200;

/** What is said for the journal, which keeps it. Throws OrgtrailError `usage` for an empty text or one that is too long. */
export const toldText = ({ reason, by }: { readonly reason: string; readonly by: string }) => {
  const told = { reason: reason.trim(), by: by.trim() };
  for (const [name, text, most] of [
    ['--reason', told.reason, MAX_REASON],
    ['--by', told.by, MAX_NAME],
  ] as const) {
    if (text === '') throw new OrgtrailError('usage', `${name} must not be empty`);
    if (text.length > most) throw new OrgtrailError('usage', `${name} must not be longer than ${most} characters`);
  }
  return told;
};
