// Three panels by uPlot: requests by class, failures as marks, latency. uPlot has scales, axes and the drag; we draw marks and shades.
const panels = {};
const PIXELS_OF_A_STEP = 4;
const DENSE = 4000; // marks in view: from here on they are small, and of those on the same pixel one is painted

function startPanels() {
  const top = [DATA.whole[0], DATA.whole[1]];
  const took = rows.took.length ? rows.took : [1];
  let low = Infinity, high = 0;
  for (const value of took) { if (value < low) low = value; if (value > high) high = value; }
  const marks = decades(low * DATA.failures.unit * 1000, high * DATA.failures.unit * 1000);
  const names = ['good_p50', 'good_p99', 'good_max', 'failed_p50', 'failed_p99'];
  let least = Infinity, most = 0;
  for (const name of ['good_p50', 'good_max', 'failed_p50', 'failed_p99']) {
    for (const value of rows[name]) { if (value < least) least = value; if (value > most) most = value; }
  }
  const latency = decades(least, most);
  const hidden = { paths: () => null, points: { show: false } };
  panels.throughput = panel('throughput', 118, {
    y: { range: (u, low_, high_) => [0, Math.max(high_, 1) * 1.12] },
    series: stackSeries(),
    values: (u, splits) => splits.map((v) => (v >= 10000 ? `${v / 1000}k` : v)),
  }, stacked());
  panels.marks = panel('marks', rows.t.length ? 150 : 52, { y: { distr: 3, range: () => marks }, series: [hidden], log: true, bare: !rows.t.length }, [top, marks]);
  panels.latency = panel('latency', 140, {
    y: { distr: 3, range: () => latency },
    series: names.map((name) => latencySeries(name)),
    log: true,
    axis: true,
  }, latencyData(names));
}

function decades(low, high) {
  if (!(high > 0)) return [0.1, 1000];
  const from = 10 ** Math.floor(Math.log10(Math.max(low, 0.01))), to = 10 ** Math.ceil(Math.log10(high * 1.2));
  return [from, to > from ? to : from * 10];
}

function panel(name, height, { y, series, values, log, axis, bare }, data) {
  const style = { stroke: () => ink.muted, grid: { stroke: () => ink.line, width: 1 }, ticks: { show: false }, font: '11px system-ui, sans-serif' };
  const options = {
    width: frame.width, height: height + (axis ? 40 : 0),
    padding: [8, frame.right, axis ? 0 : 6, 0],
    legend: { show: false },
    cursor: { x: false, y: false, points: { show: false }, drag: { x: true, y: false, setScale: false }, bind: { dblclick: () => () => reset() } },
    scales: { x: { time: false, auto: false, range: () => [view.from, view.to] }, y },
    axes: [
      { ...style, show: true, size: axis ? 22 : 0, splits: () => ticks(), values: (u, splits) => (axis ? splits.map(tickWords) : splits.map(() => '')),
        label: axis ? `seconds from ${DATA.zero}` : undefined, labelSize: axis ? 18 : 0, labelFont: '12px system-ui, sans-serif', labelGap: 0, gap: 3 },
      { ...style, size: () => frame.left, gap: 6, space: 28,
        ...(log ? { splits: (u) => (bare ? [] : tens(u.scales.y)), values: (u, splits) => splits.map((v) => lasting(v)), filter: (u, splits) => splits, font: style.font } : { values }) },
    ],
    series: [{}, ...series],
    hooks: { drawClear: [shade], draw: { marks: [drawMarks], throughput: [drawOutage] }[name] || [], setSelect: [dragged] },
  };
  return new uPlot(options, data, $(name));
}

// A line for each power of ten, or each second one where they are many.
function tens({ min, max }) {
  const from = Math.round(Math.log10(min)), to = Math.round(Math.log10(max)), step = to - from > 5 ? 2 : 1, found = [];
  for (let power = from; power <= to; power += step) found.push(10 ** power);
  return found;
}

function dragged(u) {
  if (u.select.width > 4) show(u.posToVal(u.select.left, 'x'), u.posToVal(u.select.left + u.select.width, 'x'));
  u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
}

// --- requests by class: sums of whole buckets, as wide as a few pixels ---

function stackSeries() {
  const made = [];
  const layers = [...DATA.bucket.failed.map((kind) => groupOf(kind)).reverse(), ...DATA.bucket.good.map(() => null).reverse()];
  for (const group of layers) {
    made.push({ paths: uPlot.paths.stepped({ align: 1 }), points: { show: false }, width: 1,
      stroke: () => (group ? groupColour(group) : ink.edge), fill: () => (group ? groupColour(group) : ink.good) });
  }
  return made;
}

const groupOf = (kind) => (kind in DATA.looks.groups ? kind : /^(\d+|[A-Z_]+)$/.test(kind) ? 'status' : 'none');

function stacked() {
  const { from, width, count, good, failed, held } = DATA.bucket;
  const wanted = ((view.to - view.from) / plotWidth()) * PIXELS_OF_A_STEP;
  let step = 1;
  for (const each of [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]) { step = each; if (each * width >= wanted) break; }
  const first = Math.max(0, Math.floor((view.from - from) / width / step) - 1) * step;
  const last = Math.min(count, (Math.ceil((view.to - from) / width / step) + 1) * step);
  const layers = [...good.map((_, n) => `good${n}`), ...failed.map((_, n) => `failed${n}`)];
  const xs = [];
  for (let at = first; at < last; at += step) xs.push(from + at * width);
  xs.push(from + last * width);
  const sums = new Float64Array(xs.length);
  const found = [];
  for (const layer of layers) {
    for (let n = 0; n < xs.length - 1; n++) {
      const begin = first + n * step, end = Math.min(begin + step, last);
      let sum = 0;
      for (let k = begin; k < end; k++) sum += rows[layer][k];
      sums[n] += held && layer.startsWith('failed') ? sum : sum / ((end - begin) * width);
    }
    sums[xs.length - 1] = sums[Math.max(xs.length - 2, 0)];
    found.push(Array.from(sums));
  }
  return [xs, ...found.reverse()]; // the highest sum is painted first
}

// The longest time of nothing but failures, as a bracket with its length.
function drawOutage(u) {
  if (!DATA.outage) return;
  const { ctx } = u, scale = devicePixelRatio || 1, { left, top, width } = u.bbox, [from, to] = DATA.outage.span.map((t) => u.valToPos(t, 'x', true));
  if (to - from < 3 * scale || to < left || from > left + width) return;
  const begin = Math.max(from, left), end = Math.min(to, left + width), y = top + 26 * scale, words = `${DATA.outage.words} of nothing but failures`;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = ink.fail;
  ctx.lineWidth = 2 * scale;
  ctx.beginPath();
  ctx.moveTo(begin, y); ctx.lineTo(end, y);
  for (const x of [begin, end]) { ctx.moveTo(x, y - 5 * scale); ctx.lineTo(x, y + 5 * scale); }
  ctx.stroke();
  ctx.font = `600 ${12 * scale}px system-ui, sans-serif`;
  ctx.textAlign = 'center';
  const shortened = ctx.measureText(words).width > width / 3 ? DATA.outage.words : words, half = ctx.measureText(shortened).width / 2;
  const middle = Math.min(Math.max((begin + end) / 2, left + half + 4 * scale), left + width - half - 4 * scale);
  ctx.lineWidth = 4 * scale;
  ctx.strokeStyle = ink.surface;
  ctx.lineJoin = 'round';
  ctx.strokeText(shortened, middle, y - 9 * scale);
  ctx.fillText(shortened, middle, y - 9 * scale);
  ctx.restore();
}

// --- latency ---

function latencySeries(name) {
  const looks = { good_p50: ['p50', 2], good_p99: ['p99', 1.5], good_max: ['max', 1], failed_p50: ['failed', 2], failed_p99: ['failed', 1] }[name];
  return { stroke: () => ink[looks[0]], width: looks[1], dash: name === 'failed_p99' ? [3, 3] : undefined, points: { show: true, size: 4, stroke: () => ink[looks[0]], fill: () => ink[looks[0]], filter: (u, series) => alone(u.data[series]) },
    gaps: (u, series, from, to, found) => found.filter(([left, right]) => right - left > u.valToPos(1, 'x', true) - u.valToPos(0, 'x', true)) };
}

// A bucket whose neighbours are empty is on no line: it is drawn as a point.
function alone(column) {
  const found = [];
  for (let n = 0; n < column.length; n++) if (column[n] !== null && (column[n - 1] ?? null) === null && (column[n + 1] ?? null) === null) found.push(n);
  return found;
}

function latencyData(names) {
  const { from, width, count } = DATA.bucket;
  const xs = Array.from({ length: count }, (_, n) => from + (n + 0.5) * width);
  return [xs, ...names.map((name) => Array.from(rows[name], (value) => (value > 0 ? value : null)))];
}

function latencyKey() {
  const parts = [['p50', 'p50'], ['p99', 'p99'], ['max', DATA.bucket.held ? 'max' : 'max, of good answers'], ...(DATA.bucket.held ? [] : [['failed', 'p50 and p99 of failed ones']])];
  $('latency-key').replaceChildren(...parts.map(([colour, words]) => {
    const line = el('i');
    line.style.borderColor = ink[colour];
    return el('span', {}, line, `${words} `);
  }));
}

// --- what lies behind all panels ---

function shade(u) {
  const { ctx } = u, { left, top, width, height } = u.bbox, scale = devicePixelRatio || 1;
  shadeInto(ctx, (t) => u.valToPos(t, 'x', true), left, top, width, height, scale);
}

function shadeInto(ctx, x, left, top, width, height, scale) {
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, top, width, height);
  ctx.clip();
  const box = (span, paintIt) => {
    const from = x(span[0]), to = x(span[1]);
    if (to >= left && from <= left + width) paintIt(from, Math.max(to - from, scale));
  };
  ctx.globalAlpha = 0.4;
  for (const phase of DATA.phases) box(phase.span, (from, wide) => { ctx.fillStyle = ink[phaseTone(phase.name)]; ctx.fillRect(from, top, wide, height); });
  if (DATA.control) box(DATA.control, (from, wide) => { ctx.fillStyle = ink.control; ctx.fillRect(from, top, wide, height); });
  ctx.globalAlpha = 1;
  for (const stall of DATA.stalls) box(stall.span, (from, wide) => { ctx.globalAlpha = 0.45; hatched(ctx, from, top, wide, height, ink.hatch, 9 * scale); ctx.globalAlpha = 1; });
  for (const gap of DATA.gaps) box(gap.span, (from, wide) => hatched(ctx, from, top, wide, height, ink.doubt, 5 * scale));
  for (const moment of DATA.moments) {
    const at = Math.round(x(moment.at)) + 0.5;
    if (at < left || at > left + width) continue;
    ctx.strokeStyle = ink.ink;
    ctx.lineWidth = (moment.sort === 'trigger' ? 2 : 1) * scale;
    ctx.setLineDash(moment.sort === 'trigger' ? [] : moment.sort === 'done' ? [2 * scale, 3 * scale] : [7 * scale, 3 * scale]);
    ctx.beginPath();
    ctx.moveTo(at, top);
    ctx.lineTo(at, top + height);
    ctx.stroke();
  }
  ctx.setLineDash([]);
  ctx.restore();
}

const phaseTone = (name) => ({ 'warm-up': 'warm', before: 'before', during: 'during', after: 'after' })[name] || 'before';

// --- a mark for each failure ---

// Where a failure is on the canvas; made once for a painting, since asking uPlot a hundred thousand times takes long.
function placing(u) {
  const { left, top, width, height } = u.bbox, unit = DATA.failures.unit, first = DATA.whole[0] - view.from;
  const across = width / (view.to - view.from), low = Math.log10(u.scales.y.min), up = height / (Math.log10(u.scales.y.max) - low);
  return [(n) => left + (first + rows.t[n] * unit) * across, (n) => top + height - (Math.log10(Math.max(rows.took[n] * unit * 1000, 1e-3)) - low) * up];
}

const timeOf = (n) => DATA.whole[0] + rows.t[n] * DATA.failures.unit;
const inView = () => [placeOf(rows.t, (view.from - DATA.whole[0]) / DATA.failures.unit), placeOf(rows.t, (view.to - DATA.whole[0]) / DATA.failures.unit)];

function drawMarks(u) {
  const [first, last] = inView(), scale = devicePixelRatio || 1, dense = last - first > DENSE;
  const radius = (dense ? 3 : last - first > 600 ? 4.2 : 5.5) * scale;
  const { left, top, width, height } = u.bbox, { ctx } = u, [across, down] = placing(u);
  ctx.save();
  ctx.beginPath();
  ctx.rect(left - radius, top, width + 2 * radius, height);
  ctx.clip();
  for (const faint of [true, false]) {
    const paths = new Map(), wide = (width >> 1) + 64, taken = dense ? new Uint8Array(wide * ((height >> 1) + 64)) : null;
    const stamps = dense ? DATA.failures.kinds.map(({ group }) => stamp(group, radius, faint)) : null;
    for (let n = first; n < last; n++) {
      if (Boolean(shown[n]) === faint) continue;
      const { group } = DATA.failures.kinds[rows.kind[n]], x = across(n), y = down(n);
      if (stamps) { // a mark that another one of its kind covers but for a pixel is not painted
        const cell = (Math.round(y - top) >> 1) * wide + (Math.round(x - left) >> 1) + 16, kind = 1 + (rows.kind[n] % 255);
        if (taken[cell] === kind) continue;
        taken[cell] = kind;
        const mark = stamps[rows.kind[n]];
        ctx.drawImage(mark, Math.round(x - mark.width / 2), Math.round(y - mark.height / 2));
        continue;
      }
      if (!paths.has(group)) paths.set(group, new Path2D());
      outline(paths.get(group), SHAPES[group], x, y, radius);
    }
    for (const [group, path] of paths) paint(ctx, path, group, scale, faint, last - first > 120);
  }
  ctx.restore();
  if (!rows.t.length) {
    ctx.fillStyle = ink.muted;
    ctx.font = `${14 * scale}px system-ui, sans-serif`;
    ctx.textAlign = 'center';
    ctx.fillText(`no ${DATA.failures.noun}`, left + width / 2, top + height / 2);
  }
}

function drawPanels() {
  for (const [name, u] of Object.entries(panels)) {
    if (name === 'throughput') u.setData(stacked(), false);
    u.batch(() => {
      u.setScale('x', { min: view.from, max: view.to });
      if (name === 'throughput') u.setScale('y', { min: null, max: null });
      u.redraw(name === 'latency', true);
    });
  }
}

function sizePanels() {
  for (const u of Object.values(panels)) {
    u.axes[1]._size = frame.left;
    u.setSize({ width: frame.width, height: u.height });
  }
}
