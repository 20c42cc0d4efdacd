/** Samples of an exposition by name and labels, as they are written: `name{label="value"}`. */
export type Samples = ReadonlyMap<string, number>;

export const parseMetrics = (text: string): Samples => {
  const samples = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const at = line.lastIndexOf(' ');
    const value = line.slice(at + 1);
    samples.set(line.slice(0, at), value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value));
  }
  return samples;
};

/** Of all series of a metric whose labels contain all of `labels` (`status="429"`). */
export const sumOf = (samples: Samples, name: string, labels = ''): number =>
  [...samples]
    .filter(([key]) => key.split('{')[0] === name && key.includes(labels))
    .reduce((sum, [, value]) => sum + value, 0);
