/**
 * What `run`, `sync` and `backfill` do with each table, and no more. Events, coverage, lanes, positions and sinks are written by
 * functions alone, which refuse what cannot be (docs/decisions/11).
 */
export const ingestMay: Readonly<Record<string, string>> = {
  organizations: 'select, insert, update',
  organization_changes: 'select, insert',
  accounts: 'select, insert, update',
  account_listings: 'select, insert, update',
  account_organizations: 'select, insert, update',
  account_changes: 'select, insert',
  // Triggers refuse what would hide that nothing is collected.
  sources: 'select, insert, update',
  coverage: 'select',
  lanes: 'select',
  coverage_holes: 'select',
  coverage_readings: 'select',
  audit_events: 'select',
  audit_event_changes: 'select',
  feed_head: 'select',
  api_budget: 'select, insert, update',
  discovery: 'select, update',
  // An attacker who holds the collector's account must not be able to silence the detection of its misuse.
  collector_tokens: 'select',
  // An attacker who holds the collector's account must neither release a hold nor shorten the retention.
  holds: 'select',
  retention_policy: 'select',
  retention_drops: 'select',
  // Nor must it end the wait behind a restore.
  retention_waits: 'select',
  // Written by functions alone, which compare with what is stored.
  archive_policy: 'select',
  archive_objects: 'select',
  archive_thaws: 'select',
  archive_snapshots: 'select',
  archive_restores: 'select',
  // Written by the trigger of feed_head, with its owner's rights.
  position_jumps: 'select',
  // Written by functions alone, which only orgtrail_evidence may call: a stolen account of a collector can write no leaf.
  evidence_log: 'select',
  evidence_anchors: 'select',
  evidence_coverage: 'select',
  evidence_verified: 'select',
  // Written by orgtrail_note_detections alone.
  findings: 'select',
  finding_head: 'select',
  // Written by functions alone, which ask views of the owner alone.
  own_detections: 'select',
  // Written by orgtrail_mute_detection and orgtrail_unmute_detection alone, which keep every row.
  detection_mutes: 'select',
  // Written by orgtrail_note_verification and orgtrail_note_scrub alone, which keep a bounded number of rows.
  checks: 'select',
  // Written by orgtrail_note_alarms and orgtrail_finish_alarms alone.
  alarms: 'select',
  alarm_changes: 'select',
  alarm_cursors: 'select',
  sinks: 'select',
  sink_dead_letters: 'select',
  // An attacker who holds the collector's account must neither create a token nor restore one.
  access_tokens: 'select',
  console_sessions: 'select, insert, delete',
  // Written by orgtrail_prove_session alone, and read by functions: a session that a stolen account makes proves nothing.
  console_session_proofs: '',
  // Written by functions alone, which bound how many there are.
  saved_searches: 'select',
  search_tells: 'select',
  search_matches: 'select',
  // Derived, and no evidence: the right to write it can hide a country, and no event.
  address_places: 'select, insert, update, delete',
  place_head: 'select, insert, update',
  // Written by the trigger of audit_events, with its owner's rights.
  event_spellings: 'select',
  // Written by orgtrail_note_access, which adds and changes nothing: the trail of access is evidence. Read by orgtrail_read_access_log for a proven session.
  access_log: '',
  'drizzle.__drizzle_migrations': 'select',
};

/** Of these, both roles may select. */
export const views = [
  'audit_feed',
  'audit_history',
  'coverage_gaps',
  'coverage_proof',
  'sync_status',
  'requests_blocked',
  'audit_event_traits',
  'detections',
  'detection_api_token_changed',
  'detection_member_added',
  'detection_super_administrator_added',
  'detection_sso_or_mfa_changed',
  'detection_delete_burst',
  'detection_failure_burst',
  'detection_cloudflare_staff',
  'detection_collector_token',
  'detection_api_token_wide_scope',
  'detection_dns_records_deleted',
  'detection_protection_removed',
  'detection_scim_changed',
  'detection_sign_in_from_new_network',
  'detection_sign_in_without_sso',
  'detection_worker_secret_or_route_changed',
];

/** Each name is that of one function, of the owner and with the owner's rights. */
export const ingestCalls = [
  'orgtrail_create_partitions',
  'orgtrail_drop_month',
  'orgtrail_commit_page_2',
  'orgtrail_claim_source',
  'orgtrail_take_requests',
  'orgtrail_fail_lane',
  'orgtrail_end_rests',
  'orgtrail_trim_coverage',
  'orgtrail_check_timeline',
  'orgtrail_note_alive',
  'orgtrail_register_sinks',
  'orgtrail_claim_sink',
  'orgtrail_renew_sink',
  'orgtrail_begin_delivery',
  'orgtrail_finish_delivery',
  'orgtrail_skip_events',
  'orgtrail_fail_delivery',
  'orgtrail_note_sink_failure',
  'orgtrail_release_sink',
  'orgtrail_release_sinks_of',
  'orgtrail_register_sinks_with_ages',
  'orgtrail_skip_old_events',
  'orgtrail_finish_delivery_and_skip',
  'orgtrail_want_detections',
  'orgtrail_note_detections',
  'orgtrail_mute_detection',
  'orgtrail_acknowledge_detection',
  'orgtrail_own_detections',
  'orgtrail_ask_own_detection',
  'orgtrail_note_own_failure',
  'orgtrail_unmute_detection',
  'orgtrail_note_verification',
  'orgtrail_note_scrub',
  'orgtrail_register_alarm_sinks',
  'orgtrail_note_alarms',
  'orgtrail_finish_alarms',
  'orgtrail_note_access',
  'orgtrail_prove_session',
  'orgtrail_access_log_shown',
  'orgtrail_read_access_log',
  'orgtrail_token_use',
  'orgtrail_session_replays',
  'orgtrail_order',
  'orgtrail_save_search',
  'orgtrail_rename_search',
  'orgtrail_delete_search',
  'orgtrail_tell_search',
  'orgtrail_note_search_matches',
  'orgtrail_note_tell_failure',
  'orgtrail_finish_search_matches',
  'orgtrail_use_archive',
  'orgtrail_archive_facts',
  'orgtrail_facts_of',
  'orgtrail_claim_thaw',
  'orgtrail_hold_thaw',
  'orgtrail_begin_thaw',
  'orgtrail_index_thaw',
  'orgtrail_check_thaw',
  'orgtrail_attach_thaw',
  'orgtrail_find_thawed',
  'orgtrail_fail_thaw',
  'orgtrail_note_archived',
  'orgtrail_note_archive_read',
  'orgtrail_note_archive_blocks',
  'orgtrail_note_archive_bounds',
  'orgtrail_take_snapshot',
  'orgtrail_note_snapshot',
  'orgtrail_renumber_snapshots',
  'orgtrail_forget_archive_reads',
].join(', ');

/** What only those call; earlier versions gave it to the role. */
export const internalFunctions = [
  'orgtrail_may_know_any',
  'orgtrail_has_stored',
  'orgtrail_add_counts',
  'orgtrail_note_reading',
  'orgtrail_note_read_again',
  'orgtrail_note_reads',
  'orgtrail_bounded_instant',
  'orgtrail_timeline',
  'orgtrail_wait_for_disk',
  'orgtrail_archived',
  'orgtrail_archive_obstacle',
  'orgtrail_archive_difference',
  'orgtrail_note_findings',
  'orgtrail_forget_thaw',
].join(', ');

/** Made by `migrate --roles`. */
export const roles = ['orgtrail_ingest', 'orgtrail_reader'] as const;

/** The account that builds the evidence is a member of it, beside orgtrail_ingest if the daemon builds. */
export const EVIDENCE_ROLE = 'orgtrail_evidence';

/** What readers may read as well, so that they can verify. */
export const evidenceTables = [
  'evidence_tiles',
  'evidence_checkpoints',
  'evidence_statements',
  'evidence_sources',
  'evidence_asked',
  'evidence_key_orders',
  'evidence_reads',
];

/** With a key, the hash of an event can be tested against guesses after the event is dropped. */
export const SALTS = 'evidence_month_keys';

/** What the builder hashes and states. */
export const evidenceReads = [
  'accounts',
  'organizations',
  'audit_events',
  'audit_event_changes',
  'feed_head',
  'holds',
  'retention_drops',
  'retention_policy',
  'archive_objects',
  'position_jumps',
  'sources',
  'coverage',
  'coverage_holes',
  'coverage_readings',
  'discovery',
  'evidence_log',
  'evidence_anchors',
  'evidence_coverage',
  'evidence_verified',
  ...evidenceTables,
  SALTS,
  'drizzle.__drizzle_migrations',
].join(', ');

/** What the builder calls, beside what it reads. */
export const evidenceCalls = [
  'orgtrail_open_evidence',
  'orgtrail_claim_evidence',
  'orgtrail_renew_evidence',
  'orgtrail_release_evidence',
  'orgtrail_release_evidence_of',
  'orgtrail_grow_evidence',
  'orgtrail_note_checkpoint',
  'orgtrail_note_evidence',
  'orgtrail_note_evidence_settings',
  'orgtrail_note_held_back',
  'orgtrail_note_verified',
  'orgtrail_refuse_evidence',
  'orgtrail_continue_evidence',
  'orgtrail_thin_checkpoints',
  'orgtrail_thin_reads',
  'orgtrail_read_text',
  'orgtrail_instant_text',
  'orgtrail_note_anchor',
  'orgtrail_ranges_of',
  'orgtrail_is_evidence_here',
  'orgtrail_ask_coverage',
  'orgtrail_schema_version',
].join(', ');
