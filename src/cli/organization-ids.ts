import { ApiError, OrgtrailError } from '../errors.ts';
import type { FoundOrganization } from '../ingest/planning/source.ts';
import { matchOrganization, type NamedOrganization } from '../organizations/named-organization.ts';
import { readNamedOrganizations } from '../organizations/named-organizations.sql.ts';
import type { Pool } from '../postgres/pool.ts';
import { printable } from './output/terminal-table.ts';

/** Candidates that an error names. */
const MAX_CANDIDATES = 10;

/** The form of Cloudflare's ids. */
export const idForm = /^[0-9a-f]{32}$/i;

/** Asks Cloudflare for its listing: for commands that may name organizations the database does not know yet. */
export type ListOrganizations = () => AsyncIterable<readonly FoundOrganization[]>;

/**
 * The ids of the organizations that an option names by id or by name. With `list`, Cloudflare is asked for names that the
 * database does not know, and whatever has the form of an id is taken for one. Throws OrgtrailError `usage` for a name that is
 * unknown or that several organizations have.
 */
export const organizationIds = async (
  pool: Pool,
  texts: readonly string[],
  list?: ListOrganizations,
): Promise<readonly string[]> => {
  let known = await readNamedOrganizations(pool);
  const isId = (text: string) => list !== undefined && idForm.test(text);
  const isUnknown = (text: string) => !isId(text) && matchOrganization(text, known).kind === 'unknown';
  if (list !== undefined && texts.some(isUnknown)) known = [...known, ...(await listed(list, known))];
  return [...new Set(texts.map((text) => (isId(text) ? text.toLowerCase() : requireOne(text, known))))];
};

const listed = async (list: ListOrganizations, known: readonly NamedOrganization[]): Promise<NamedOrganization[]> => {
  const ids = new Set(known.map(({ id }) => id));
  const more: NamedOrganization[] = [];
  try {
    for await (const page of list()) {
      for (const { id, name = null } of page) if (!ids.has(id)) more.push({ id, name, gone: false });
    }
  } catch (error) {
    // A credential that may not list can still read organizations by id.
    if (!(error instanceof ApiError) || error.failure !== 'refused') throw error;
  }
  return more;
};

/** The id of the one that `text` names. Throws OrgtrailError `usage` for none and for several. `noun` is what is named. */
export const requireOne = (
  text: string,
  known: readonly NamedOrganization[],
  noun: 'organization' | 'account' = 'organization',
): string => {
  const match = matchOrganization(text, known);
  const shown = `"${printable(text, 80)}"`;
  if (match.kind === 'one') return match.id;
  if (match.kind === 'ambiguous') {
    const candidates = match.candidates.slice(0, MAX_CANDIDATES).map(({ id }) => printable(id, 64));
    const more = match.candidates.length > MAX_CANDIDATES ? ', …' : '';
    throw new OrgtrailError('usage', `${match.candidates.length} ${noun}s have the name ${shown}`, {
      hint: `one of their ids: ${candidates.join(', ')}${more}`,
    });
  }
  const near = match.near.map((name) => `"${printable(name, 80)}"`);
  throw near.length === 0
    ? new OrgtrailError('usage', `unknown ${noun} ${shown}`, { hint: '`orgtrail status --all` lists them' })
    : new OrgtrailError('usage', `unknown ${noun} ${shown}; did you mean ${near.join(' or ')}?`);
};
