-- Detections of the operator: the views of the schema orgtrail_detections.
comment on table own_detections is 'The views of the schema orgtrail_detections, which are asked as our own detections are (docs/detections.md). Written '
  'by functions alone.';
comment on column own_detections.name is 'The view, and the detection that its findings have.';
comment on column own_detections.position is 'It has been asked up to here.';
comment on column own_detections.asked_at is 'When it was last asked without a failure.';
comment on column own_detections.failed_at is 'When it last failed.';
comment on column own_detections.error is 'Why it failed; null: it did not, the last time.';
