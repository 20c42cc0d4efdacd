alter table discovery add column lease_owner text, add column lease_until timestamptz, add column server_time timestamptz;
comment on column discovery.lease_owner is 'The replica that lists the organizations, while lease_until is to come.';
comment on column discovery.server_time is 'Cloudflare''s own time at the last listing: where a replica begins that has had no answer yet.';
