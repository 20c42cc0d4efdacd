// Zooming into the histogram of a search by dragging over it. Its bars are links without this.

const NS = 'http://www.w3.org/2000/svg';

/** Where a pointer is, as a number of bars from the left. */
const barAt = (svg, buckets, clientX) => {
  const { left, width } = svg.getBoundingClientRect();
  return Math.max(0, Math.min(buckets, ((clientX - left) / width) * buckets));
};

for (const figure of document.querySelectorAll('[data-histogram]')) {
  const svg = figure.querySelector('svg');
  const { first, bucket, buckets } = figure.dataset;
  const count = Number(buckets);
  const widthOfBar = svg.viewBox.baseVal.width / count;
  let start;
  let brush;
  svg.addEventListener('pointerdown', (event) => {
    if (event.button === 0) start = barAt(svg, count, event.clientX);
  });
  // A drag of a link would take the pointer away.
  svg.addEventListener('dragstart', (event) => event.preventDefault());
  addEventListener('pointermove', (event) => {
    if (start === undefined) return;
    const now = barAt(svg, count, event.clientX);
    if (brush === undefined && Math.abs(now - start) < 0.5) return;
    if (brush === undefined) {
      brush = document.createElementNS(NS, 'rect');
      brush.setAttribute('class', 'brush');
      brush.setAttribute('height', '100');
      svg.append(brush);
    }
    const [from, to] = [Math.floor(Math.min(start, now)), Math.ceil(Math.max(start, now))];
    brush.setAttribute('x', String(from * widthOfBar));
    brush.setAttribute('width', String((to - from) * widthOfBar));
    brush.dataset.from = String(from);
    brush.dataset.to = String(to);
  });
  addEventListener('pointerup', () => {
    start = undefined;
    if (brush === undefined) return;
    const at = (bars) => new Date(Number(first) + Number(bars) * Number(bucket)).toISOString().replace('.000Z', 'Z');
    const address = new URL(location.href);
    address.searchParams.set('since', at(brush.dataset.from));
    address.searchParams.set('before', at(brush.dataset.to));
    address.searchParams.delete('cursor');
    // The link below the pointer must not be followed as well.
    addEventListener('click', (event) => event.preventDefault(), { capture: true, once: true });
    location.assign(address);
  });
}
