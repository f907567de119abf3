// A lane for each pod, drawn by hand on the panels' time axis.
const MOST_LANES = 60;
const FEW = 12; // up to so many pods, each has its lane whatever it does
let everyLane = false;
let lanes = []; // {pod, index, y, height} and {title, y}
let lanesHeight = 0, laid = '';

// Of many pods, those that do nothing in view have no lane: they have one state all along, and no failure.
function chosenPods() {
  const all = DATA.pods.map((pod, index) => ({ pod, index }));
  if (everyLane || all.length <= FEW) return all;
  const failed = new Set(), [first, last] = inView();
  for (let n = first; n < last; n++) {
    if (rows.pod[n] >= 0) failed.add(rows.pod[n]);
    else if (rows.near[n] >= 0) for (const pod of DATA.failures.nearby[rows.near[n]]) failed.add(pod);
  }
  const within = (t) => t !== null && t >= view.from && t <= view.to;
  const busy = all.filter(({ pod, index }) => index === chosen.pod || failed.has(index) || within(pod.deleted) || within(pod.exited) || within(pod.gone)
    || pod.segments.some(([, from, to]) => within(from) || within(to)));
  const [olds, news] = [true, false].map((old) => busy.filter(({ pod }) => pod.old === old));
  const share = Math.max(MOST_LANES / 2, MOST_LANES - news.length);
  return [...olds.slice(0, share), ...news.slice(0, MOST_LANES - Math.min(olds.length, share))];
}

function layLanes() {
  const pods = chosenPods(), narrow = frame.left < 100;
  const key = `${frame.width} ${pods.map(({ index }) => index)}`;
  if (key === laid) return;
  laid = key;
  const height = pods.length <= 16 ? 24 : pods.length <= 40 ? 18 : 14;
  lanes = [];
  let y = narrow ? 4 : 26;
  for (const old of [true, false]) {
    const group = pods.filter(({ pod }) => pod.old === old);
    if (!group.length) continue;
    lanes.push({ title: `${old ? 'old' : 'new'} pods`, y });
    y += 17;
    for (const { pod, index } of group) { lanes.push({ pod, index, y, height }); y += height; }
    y += 5;
  }
  lanesHeight = y + 4;
  const made = lanes.map((lane) => (lane.title ? titleOf(lane) : nameOf(lane, narrow)));
  const left = DATA.pods.length - pods.length;
  if (left > 0) {
    const words = pods.length < MOST_LANES ? `${left} more ${left === 1 ? 'pod' : 'pods'}, to which nothing happens here: show all` : `${left} more pods: show all`;
    const button = el('button', { type: 'button', className: 'more' }, words);
    button.style.top = `${lanesHeight}px`;
    button.addEventListener('click', () => { everyLane = true; redraw(); });
    made.push(button);
    lanesHeight += 24;
  }
  $('names').replaceChildren(...made);
  $('lanes').hidden = !DATA.pods.length;
  $('names').parentElement.style.height = `${lanesHeight}px`;
}

function titleOf(lane) {
  const made = el('em', {}, lane.title);
  made.style.top = `${lane.y}px`;
  return made;
}

function nameOf({ pod, index, y, height }, narrow) {
  const short = narrow ? `\u2026${pod.label.slice(-5)}` : pod.label;
  const button = el('button', { type: 'button', title: `${pod.label}: show the failures at this pod` }, short);
  button.dataset.pod = index;
  button.setAttribute('aria-label', `Show the failures at ${pod.old ? 'old' : 'new'} pod ${pod.name}`);
  button.setAttribute('aria-pressed', String(chosen.pod === index));
  Object.assign(button.style, { top: `${y}px`, height: `${height}px`, lineHeight: `${height}px`, width: `${frame.left - 8}px`, fontSize: `${Math.min(12, height - 3)}px` });
  return button;
}

function drawLanes() {
  if (!DATA.pods.length) return;
  const canvas = $('lanes').querySelector('canvas'), ctx = sized(canvas, frame.width, lanesHeight);
  const wide = plotWidth();
  shadeInto(ctx, xOf, frame.left, 0, wide, lanesHeight, 1);
  ctx.strokeStyle = ink.line;
  ctx.lineWidth = 1;
  for (const t of ticks()) { const x = Math.round(xOf(t)) + 0.5; ctx.beginPath(); ctx.moveTo(x, 0); ctx.lineTo(x, lanesHeight); ctx.stroke(); }
  ctx.save();
  ctx.beginPath();
  ctx.rect(frame.left, 0, wide + frame.right, lanesHeight);
  ctx.clip();
  for (const lane of lanes) if (lane.pod) drawLane(ctx, lane);
  drawFailuresOfPods(ctx);
  for (const lane of lanes) if (lane.pod) drawEnds(ctx, lane);
  drawWarnings(ctx);
  ctx.restore();
}

function drawLane(ctx, { pod, index, y, height }) {
  const bar = Math.round(height * 0.62), top = y + (height - bar) / 2, end = frame.left + plotWidth();
  ctx.globalAlpha = chosen.pod !== null && chosen.pod !== index ? 0.35 : 1;
  for (const [state, from, to] of pod.segments) {
    const left = Math.max(xOf(from), frame.left - 2), right = Math.min(xOf(to), end);
    if (right <= left) continue;
    ctx.fillStyle = DATA.looks.states[state].colour;
    ctx.fillRect(left, top, right - left, bar);
    if (state === 'starting' || state === 'terminating') hatched(ctx, left, top, right - left, bar, 'rgba(0,0,0,0.35)', state === 'starting' ? 8 : 5);
    ctx.strokeStyle = ink.edge;
    ctx.lineWidth = 0.7;
    ctx.strokeRect(left, top, right - left, bar);
  }
  ctx.globalAlpha = 1;
}

// Marks under the bar: failures at this pod. By time, where one pod's moments fit, it is drawn there too.
function drawFailuresOfPods(ctx) {
  const place = new Map(lanes.filter((lane) => lane.pod).map((lane) => [lane.index, lane])), [first, last] = inView(), taken = new Set(), wide = last - first < 400 ? 2.4 : 1.6;
  for (let n = first; n < last; n++) {
    if (!shown[n]) continue;
    const pods = rows.pod[n] >= 0 ? [rows.pod[n]] : rows.near[n] >= 0 ? DATA.failures.nearby[rows.near[n]] : [];
    if (pods.length > 3) continue;
    const x = Math.round(xOf(timeOf(n)) * 2) / 2;
    for (const pod of pods) {
      const lane = place.get(pod);
      if (!lane || taken.has(x * 1000 + pod)) continue;
      taken.add(x * 1000 + pod);
      const low = lane.y + lane.height - 1, tall = Math.max(5, lane.height * 0.42);
      ctx.fillStyle = ink.surface;
      ctx.fillRect(x - wide / 2 - 0.7, low - tall - 0.7, wide + 1.4, tall + 1.4);
      ctx.fillStyle = ink.fail;
      ctx.fillRect(x - wide / 2, low - tall, wide, tall);
    }
  }
}

function drawEnds(ctx, { pod, y, height }) {
  const middle = y + height / 2, size = Math.min(4.5, height / 4);
  ctx.strokeStyle = ink.ink;
  ctx.fillStyle = ink.ink;
  if (pod.deleted !== null) {
    const x = xOf(pod.deleted);
    ctx.beginPath();
    ctx.moveTo(x - size, y + 1); ctx.lineTo(x + size, y + 1); ctx.lineTo(x, y + 2 + size * 1.5); ctx.closePath();
    ctx.fill();
  }
  if (pod.sigterm !== null && pod.sigterm > pod.deleted + 0.05) {
    const x = xOf(pod.sigterm);
    ctx.lineWidth = 1.5;
    ctx.setLineDash([2, 2]);
    ctx.beginPath(); ctx.moveTo(x, y + 2); ctx.lineTo(x, y + height - 2); ctx.stroke();
    ctx.setLineDash([]);
  }
  let right = -1;
  if (pod.exited !== null && pod.deleted !== null) {
    const x = xOf(pod.exited), latest = xOf(Math.min(pod.exited + 1, pod.gone === null ? Infinity : pod.gone));
    ctx.lineWidth = 1.5; // Kubernetes tells an exit in whole seconds: it was somewhere on this line
    ctx.beginPath(); ctx.moveTo(x, middle); ctx.lineTo(Math.max(x, latest), middle); ctx.stroke();
    const path = new Path2D();
    path.moveTo(x - size, middle - size); path.lineTo(x + size, middle + size); path.moveTo(x + size, middle - size); path.lineTo(x - size, middle + size);
    ctx.strokeStyle = '#fff'; ctx.lineWidth = height < 18 ? 2.6 : 4; ctx.stroke(path);
    ctx.strokeStyle = '#000'; ctx.lineWidth = height < 18 ? 1.4 : 2; ctx.stroke(path);
    right = x + size;
  }
  if (pod.gone !== null) {
    const x = xOf(pod.gone);
    ctx.strokeStyle = ink.ink;
    ctx.lineWidth = 2;
    ctx.beginPath(); ctx.moveTo(x, y + 2); ctx.lineTo(x, y + height - 2); ctx.stroke();
    right = Math.max(right, x);
  }
  if (pod.exit && pod.deleted !== null && right > frame.left && (height >= 18 || pod.exit !== 'exit 0')) {
    ctx.font = `${Math.min(11.5, height - 4)}px system-ui, sans-serif`;
    ctx.textBaseline = 'middle';
    ctx.fillStyle = ink.ink;
    const wide = ctx.measureText(pod.exit).width, fits = right + 6 + wide < frame.width;
    ctx.textAlign = fits ? 'left' : 'right';
    ctx.strokeStyle = ink.surface;
    ctx.lineWidth = 3;
    if (fits) { ctx.strokeText(pod.exit, right + 6, middle); ctx.fillText(pod.exit, right + 6, middle); }
  }
}

function drawWarnings(ctx) {
  const place = new Map(lanes.filter((lane) => lane.pod).map((lane) => [lane.index, lane]));
  for (const warning of DATA.warnings) {
    const lane = place.get(warning.pod);
    if (!lane) continue;
    const x = xOf(warning.at), y = lane.y + 1, size = Math.min(11, lane.height * 0.55);
    ctx.beginPath();
    ctx.moveTo(x, y); ctx.lineTo(x + size * 0.62, y + size); ctx.lineTo(x - size * 0.62, y + size); ctx.closePath();
    ctx.fillStyle = '#F0E442'; ctx.fill();
    ctx.strokeStyle = '#000'; ctx.lineWidth = 1; ctx.stroke();
    ctx.fillStyle = '#000';
    ctx.fillRect(x - 0.6, y + size * 0.38, 1.3, size * 0.3);
    ctx.fillRect(x - 0.6, y + size * 0.78, 1.3, 1.3);
  }
}

function stateKey() {
  if (!DATA.pods.length) return;
  const parts = Object.values(DATA.looks.states).map(({ label, colour }) => {
    const box = el('i');
    box.style.background = colour;
    return el('span', {}, box, label);
  });
  const words = ['\u25bc deleted', '\u250a SIGTERM (by deletion and preStop)', '\u2715 exited (within the second)', '\u2503 gone', '\u26a0 warning of Kubernetes'];
  if (DATA.control) words.push('blue ground: control window');
  if (DATA.stalls.length) words.push('hatched grey: the load generator itself was late');
  if (DATA.gaps.length) words.push('hatched brown: the watch saw nothing');
  $('states').replaceChildren(...parts, ...words.map((text) => el('span', {}, text)));
}
