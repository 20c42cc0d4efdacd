-- Country and network owner of addresses, from the files of ORGTRAIL_GEOIP.
create table address_places (
  address text collate "C" primary key,
  country text collate "C",
  asn text collate "C",
  network text,
  looked_at timestamptz not null default clock_timestamp()
);

create table place_head (
  only_row boolean primary key default true check (only_row),
  position bigint not null,
  files text not null
);

comment on table address_places is 'Where addresses of actors are, as the files of ORGTRAIL_GEOIP say (docs/places.md). Derived: it can be emptied.';
comment on column address_places.address is 'As in audit_events.actor_ip_address.';
comment on column address_places.country is 'Two letters, ISO 3166-1; null: the files do not say.';
comment on column address_places.asn is 'The autonomous system that announces it, such as AS13335; null: the files do not say.';
comment on column address_places.network is 'Who operates that; null: the files do not say.';
comment on column address_places.looked_at is 'When it was looked up.';
comment on table place_head is 'Up to which position of the feed addresses have been looked up. No row: never.';
comment on column place_head.only_row is 'True: there is one row.';
comment on column place_head.position is 'All addresses up to this position of the feed are looked up.';
comment on column place_head.files is 'The type, time and hash of each file that they were looked up in.';
