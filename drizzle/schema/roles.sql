-- Only the owner calls these, and whom migrate gives them to, as one list for each role (src/postgres/role-rights.ts). Not what views and indexes
-- call, which run with the rights of who reads or stores.
do $$
declare
  each regprocedure;
begin
  for each in select p.oid from pg_proc p where p.pronamespace = current_schema()::regnamespace and starts_with(p.proname, 'orgtrail_')
    and p.proname not in ('orgtrail_history_of', 'orgtrail_ip', 'orgtrail_payload', 'orgtrail_without_jit', 'orgtrail_names', 'orgtrail_name',
      'orgtrail_zone', 'orgtrail_effects')
  loop
    execute format('revoke execute on function %s from public', each);
  end loop;
end
$$;
