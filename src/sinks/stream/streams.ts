/** What a sink may be sent: entries of the logs, what the detections find in them, or what is wrong with orgtrail itself. */
export const sinkStreams = ['entries', 'detections', 'alarms'] as const;
export type SinkStream = (typeof sinkStreams)[number];
