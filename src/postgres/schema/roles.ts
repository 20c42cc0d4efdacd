import type { Pool, PoolClient } from 'pg';
import { OrgtrailError } from '../../base/errors.ts';
import {
  EVIDENCE_ROLE,
  evidenceCalls,
  evidenceReads,
  evidenceTables,
  ingestCalls,
  ingestMay,
  internalFunctions,
  roles,
  SALTS,
  views,
} from '../role-rights.ts';
import { sqlState } from '../sql-state.ts';

/**
 * Makes the roles if they are missing (they belong to the whole server, not to this database; that of the evidence only if `isAsked`) and gives them exactly the
 * rights of role-rights.ts; what else the owner once gave them is taken back. Partitions need no rights of their own: they are
 * reached through their parent. Within the caller's transaction; called by `migrate --roles` and after every migration of
 * a database that has used them. Throws OrgtrailError `configuration` if the account may not.
 */
export const grantRoles = async (client: PoolClient, { isAsked }: { readonly isAsked: boolean }): Promise<void> => {
  await requireOwner(client);
  for (const role of roles) await createRole(client, role);
  if (isAsked) await createEvidenceRole(client);
  await refuseOtherMakers(client);
  const both = roles.join(', ');
  await grantUsage(client);
  await client.query(`revoke all on all tables in schema drizzle from ${both}`);
  await client.query(`revoke all on ${Object.keys(ingestMay).concat(views).join(', ')} from ${both}`);
  await client.query(`revoke all on function ${ingestCalls}, ${internalFunctions} from ${both}`);
  for (const [table, rights] of Object.entries(ingestMay)) {
    if (rights !== '') await client.query(`grant ${rights} on ${table} to orgtrail_ingest`);
  }
  await client.query(`grant select on ${Object.keys(ingestMay).join(', ')} to orgtrail_reader`);
  await client.query(`grant select on ${views.join(', ')} to ${both}`);
  await client.query(`grant execute on function ${ingestCalls} to orgtrail_ingest`);
  await grantEvidence(client);
};

/** A migration by an account that may make no roles goes on without this one: evidence is an option. */
const grantEvidence = async (client: PoolClient): Promise<void> => {
  const everything = `${Object.keys(ingestMay).concat(views, evidenceTables).join(', ')}, ${SALTS}`;
  const both = roles.join(', ');
  await client.query(`revoke all on ${evidenceTables.join(', ')}, ${SALTS} from ${both}`);
  await client.query(`revoke all on function ${evidenceCalls} from ${both}`);
  await client.query(`grant select on ${evidenceTables.join(', ')} to orgtrail_reader`);
  const { rowCount } = await client.query('select from pg_roles where rolname = $1', [EVIDENCE_ROLE]);
  if (rowCount === 0) return;
  await client.query(`revoke all on ${everything} from ${EVIDENCE_ROLE}`);
  await client.query(`revoke all on function ${ingestCalls}, ${internalFunctions} from ${EVIDENCE_ROLE}`);
  await grantUsage(client, [EVIDENCE_ROLE]);
  await client.query(`grant select on ${evidenceReads} to ${EVIDENCE_ROLE}`);
  await client.query(`grant execute on function ${evidenceCalls} to ${EVIDENCE_ROLE}`);
};

/** True if `grantRoles` has been here before. */
export const areRolesInUse = async (client: PoolClient): Promise<boolean> => {
  const { rows } = await client.query<{ used: boolean | null }>(
    "select has_schema_privilege(to_regrole('orgtrail_ingest')::oid, 'drizzle', 'usage') as used",
  );
  return rows[0]?.used === true;
};

/** PostgreSQL only warns of a grant by an account that does not own the table but has rights of its own. */
const requireOwner = async (client: PoolClient): Promise<void> => {
  const { rows } = await client.query<{ account: string; owner: string }>(
    `select current_user as account, pg_get_userbyid(relowner) as owner from pg_class
     where oid = any($1::regclass[]) and not pg_has_role(current_user, relowner, 'usage') limit 1`,
    [Object.keys(ingestMay)],
  );
  const row = rows[0];
  if (row === undefined) return;
  throw new OrgtrailError(
    'configuration',
    `the schema belongs to ${row.owner}: ${row.account} may not grant rights on it`,
    {
      hint: `run \`orgtrail migrate --roles\` as ${row.owner}`,
    },
  );
};

const createRole = async (client: PoolClient, role: string): Promise<void> => {
  const { rowCount } = await client.query('select from pg_roles where rolname = $1', [role]);
  if (rowCount === 1) return;
  try {
    // Another database of the server may be making them at this moment.
    await client.query(
      `do $$ begin create role ${role} nologin; exception when duplicate_object or unique_violation then null; end $$`,
    );
  } catch (error) {
    if (sqlState(error) !== '42501') throw error;
    throw new OrgtrailError('configuration', `this account may not create the role ${role}`, {
      hint: `let one that may run \`${[...roles, EVIDENCE_ROLE].map((name) => `create role ${name};`).join(' ')}\`, then run this again`,
      cause: error,
    });
  }
};

/** An account that may make no roles goes on without it: the others may have been made for it before there was this one. */
const createEvidenceRole = async (client: PoolClient): Promise<void> => {
  const { rowCount } = await client.query('select from pg_roles where rolname = $1', [EVIDENCE_ROLE]);
  if (rowCount === 1) return;
  await client.query(
    `do $$ begin create role ${EVIDENCE_ROLE} nologin;
     exception when duplicate_object or unique_violation or insufficient_privilege then null; end $$`,
  );
};

/** A schema of orgtrail in which another account may make objects, and the account. */
interface OpenSchema {
  readonly schema: string;
  readonly role: string;
}

/**
 * The schemas in which every account, or one of the roles, may create objects: theirs could be taken for PostgreSQL's own by functions that run with
 * the rights of the owner. A database from before PostgreSQL 15 lets every account. Called by `check` as well.
 */
export const readOpenSchemas = async (client: Pool | PoolClient): Promise<readonly OpenSchema[]> => {
  const { rows } = await client.query<OpenSchema>(
    `select distinct nspname as schema, coalesce(r.rolname, 'public') as role
     from pg_namespace n cross join lateral aclexplode(n.nspacl) a left join pg_roles r on r.oid = a.grantee
     where nspname in (current_schema(), 'drizzle') and a.privilege_type = 'CREATE'
       and (a.grantee = 0 or r.rolname = any($1)) order by 1, 2`,
    [[...roles, EVIDENCE_ROLE]],
  );
  return rows;
};

/** What to run, as the owner of the schema, so that no other account makes objects in it. */
export const closeSchemas = (open: readonly OpenSchema[]): string =>
  open.map(({ schema, role }) => `revoke create on schema "${schema}" from ${role};`).join(' ');

const refuseOtherMakers = async (client: PoolClient): Promise<void> => {
  const open = await readOpenSchemas(client);
  if (open.length === 0) return;
  throw new OrgtrailError('configuration', describeOpen(open), {
    hint: `run \`${closeSchemas(open)}\`, then this again`,
  });
};

/** For people: who may do what they must not. */
export const describeOpen = (open: readonly OpenSchema[]): string =>
  open
    .map(
      ({ schema, role }) => `${role === 'public' ? 'every account' : role} may create objects in the schema ${schema}`,
    )
    .join('; ');

/** Every account usually has USAGE on schema public already, and its owner need not be that of the tables. */
const grantUsage = async (client: PoolClient, to: readonly string[] = roles): Promise<void> => {
  const { rows } = await client.query<{ schema: string; role: string }>(
    `select quote_ident(schema) as schema, role
     from unnest(array[current_schema(), 'drizzle']) as schema, unnest($1::text[]) as role
     where not has_schema_privilege(role, schema, 'usage')`,
    [to],
  );
  for (const { schema, role } of rows) await client.query(`grant usage on schema ${schema} to ${role}`);
};
