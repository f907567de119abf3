// The band above the panels: the phases, what happened to the workload, and each burst of failures with its cause.
const PHASES_HEIGHT = 20, ROW = 23;

function flags() {
  const found = DATA.moments.map((moment) => ({ at: moment.at, words: moment.words, sort: moment.sort === 'trigger' ? 'trigger' : 'moment' }));
  for (const burst of DATA.bursts) {
    const cause = DATA.failures.causes[burst.cause];
    const tail = ` (${cause.id})`, words = cause.words.endsWith(tail) ? cause.words.slice(0, -tail.length) : cause.words;
    const where = placeOfBurst(burst);
    found.push({ at: burst.span[0], words, tail: `${words === cause.words ? '' : tail.trim()}${where ? ` at ${where}` : ''}`, count: burst.hits, sort: 'burst',
      cause: burst.cause, span: burst.span, whole: cause.words });
  }
  for (const warning of DATA.warnings) if (warning.pod < 0) found.push({ at: warning.at, words: `${warning.about}: ${warning.reason}`, title: warning.message, sort: 'warn' });
  return found;
}

// The pod that most of a burst's failures belong to, by its short name; "" where more than one may be it.
function placeOfBurst(burst) {
  const place = (t) => (t - DATA.whole[0]) / DATA.failures.unit, counts = new Map();
  let all = 0;
  for (let n = placeOf(rows.t, place(burst.span[0]) - 1), end = placeOf(rows.t, place(burst.span[1]) + 1); n < end; n++) {
    if (rows.cause[n] !== burst.cause) continue;
    all++;
    const near = rows.pod[n] >= 0 ? [rows.pod[n]] : rows.near[n] >= 0 ? DATA.failures.nearby[rows.near[n]] : [];
    if (near.length === 1) counts.set(near[0], (counts.get(near[0]) || 0) + 1);
  }
  const found = [...counts].filter(([, n]) => n > all * 0.1).sort((a, b) => b[1] - a[1]);
  if (!found.length || found.reduce((sum, [, n]) => sum + n, 0) < all * 0.6) return '';
  return found.length > 2 ? `${found.length} pods` : found.map(([pod]) => shortName(pod)).join(' and ');
}

function shortName(pod) {
  const name = DATA.failures.pods[pod], last = name.slice(name.lastIndexOf('-') + 1);
  return last.length > 3 && DATA.failures.pods.filter((other) => other.endsWith(last)).length === 1 ? last : name;
}

function drawNotes() {
  const host = $('notes'), end = frame.left + plotWidth();
  const made = [], poles = [], taken = []; // rows: where the last flag of each ends
  const inside = flags().filter((flag) => (flag.span ? flag.span[1] >= view.from && flag.span[0] <= view.to : flag.at >= view.from && flag.at <= view.to));
  // Bursts choose their places first, the largest of them before all others; what finds no room is left out, and counted.
  inside.sort((a, b) => (b.count || 0) - (a.count || 0) || a.at - b.at);
  let left = 0;
  const order = { trigger: 0, burst: 1, moment: 2, warn: 3 };
  inside.sort((a, b) => order[a.sort] - order[b.sort]);
  const most = frame.width < 600 ? 5 : 4;
  for (const flag of inside) {
    const x = Math.min(Math.max(xOf(flag.at), frame.left), end), wide = Math.min(flagWidth(flag), plotWidth());
    const begin = Math.max(frame.left, Math.min(x, end - wide));
    let row = 0;
    while (row < most && (taken[row] || []).some(([from, to]) => begin < to + 4 && begin + wide > from - 4)) row++;
    if (row === most) { left++; continue; }
    (taken[row] = taken[row] || []).push([begin, begin + wide]);
    made.push(flagElement(flag, begin, PHASES_HEIGHT + 3 + row * ROW, wide));
    if (flag.sort === 'burst') poles.push([Math.max(xOf(flag.span[0]), frame.left), PHASES_HEIGHT + 3 + row * ROW + 20]);
  }
  const height = PHASES_HEIGHT + 4 + taken.length * ROW + (left ? 16 : 0);
  host.style.height = `${height}px`;
  const canvas = el('canvas', { ariaHidden: 'true' });
  host.replaceChildren(canvas, ...made);
  if (left) {
    const more = el('small', {}, `${left} more notes: zoom in`);
    Object.assign(more.style, { position: 'absolute', left: `${frame.left}px`, bottom: '0' });
    host.append(more);
  }
  drawPhases(sized(canvas, frame.width, height), height, poles);
}

const measure = document.createElement('canvas').getContext('2d');

function flagWidth(flag) {
  measure.font = '12px system-ui, sans-serif';
  const fixed = (flag.count ? measure.measureText(number(flag.count)).width + 8 : 0) + (flag.tail ? measure.measureText(flag.tail).width + 8 : 0) + 18;
  return Math.min(fixed + measure.measureText(flag.words).width, fixed + (frame.width < 600 ? 60 : 175));
}

function flagElement(flag, left, top, wide) {
  const inside = [flag.count ? el('b', {}, number(flag.count)) : null, el('span', {}, flag.words), flag.tail ? el('i', {}, flag.tail) : null];
  const title = flag.count ? `${number(flag.count)} failed from ${atWords(flag.span[0])} to ${atWords(flag.span[1])}: ${flag.whole}` : `${atWords(flag.at)}: ${flag.title || flag.words}`;
  const made = flag.sort === 'burst' ? el('button', { type: 'button', className: 'flag burst', title }, ...inside) : el('span', { className: `flag ${flag.sort}`, title }, ...inside);
  if (flag.sort === 'burst') { made.dataset.cause = flag.cause; made.setAttribute('aria-pressed', String(chosen.cause === flag.cause)); }
  Object.assign(made.style, { left: `${left}px`, top: `${top}px`, width: `${wide}px` });
  return made;
}

function drawPhases(ctx, height, poles) {
  const end = frame.left + plotWidth();
  ctx.font = '11.5px system-ui, sans-serif';
  ctx.textAlign = 'center';
  ctx.textBaseline = 'middle';
  const box = (span, colour, top, tall, words) => {
    const from = Math.max(xOf(span[0]), frame.left), to = Math.min(xOf(span[1]), end);
    if (to <= from) return;
    ctx.fillStyle = ink[colour];
    ctx.fillRect(from, top, to - from, tall);
    ctx.fillStyle = ink.ink;
    if (ctx.measureText(words).width < to - from - 6) ctx.fillText(words, (from + to) / 2, top + tall / 2);
  };
  for (const phase of DATA.phases) box(phase.span, phaseTone(phase.name), 0, PHASES_HEIGHT - 2, phase.name);
  ctx.strokeStyle = ink.edge;
  ctx.lineWidth = 1;
  for (const moment of DATA.moments) {
    const x = Math.round(xOf(moment.at)) + 0.5;
    if (x < frame.left || x > end) continue;
    ctx.lineWidth = moment.sort === 'trigger' ? 2 : 1;
    ctx.strokeStyle = ink.ink;
    ctx.setLineDash(moment.sort === 'trigger' ? [] : [2, 3]);
    ctx.beginPath(); ctx.moveTo(x, 0); ctx.lineTo(x, height); ctx.stroke();
  }
  ctx.setLineDash([]);
  ctx.strokeStyle = ink.fail;
  ctx.lineWidth = 1;
  for (const [x, top] of poles) { ctx.beginPath(); ctx.moveTo(Math.round(x) + 0.5, top); ctx.lineTo(Math.round(x) + 0.5, height); ctx.stroke(); }
  ctx.fillStyle = ink.fail;
  for (const burst of DATA.bursts) {
    const from = Math.max(xOf(burst.span[0]), frame.left), to = Math.min(xOf(burst.span[1]), end);
    if (to >= from) ctx.fillRect(from - 1, height - 4, Math.max(to - from, 2) + 2, 4);
  }
}
