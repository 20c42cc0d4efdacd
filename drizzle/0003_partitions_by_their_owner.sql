-- Partitions are made with the rights of their owner, whoever asks: an account that may only insert events can ask, too.
do $$
begin
  execute format('alter function orgtrail_create_partitions(timestamptz, timestamptz)'
    ' security definer set search_path = %I, pg_temp', current_schema());
end
$$;
revoke execute on function orgtrail_create_partitions(timestamptz, timestamptz) from public;
