/** What a sink may be sent: entries of the logs, or what the detections find in them. */
export const sinkStreams = ['entries', 'detections'] as const;
export type SinkStream = (typeof sinkStreams)[number];
