// What lies under the pointer: a line through all panels, the numbers of that moment, and a card for a failure or a pod.
const REACH = 14; // CSS pixels around the pointer in which a mark is found

function startHover() {
  const stack = $('stack');
  stack.addEventListener('pointermove', (event) => {
    const box = stack.getBoundingClientRect(), x = event.clientX - box.left;
    const inside = x >= frame.left && x <= frame.left + plotWidth();
    $('line').style.display = inside ? 'block' : 'none';
    $('line').style.left = `${x}px`;
    if (!inside || event.target.id === 'overview') { hideTip(); $('readout').textContent = '\u00a0'; return; }
    readOut(timeAt(x));
    const near = nearest(event);
    if (near >= 0) tip(failureWords(near), event);
    else { const pod = podUnder(event); if (pod) tip(podWords(pod, timeAt(x)), event); else hideTip(); }
  });
  stack.addEventListener('pointerleave', () => { hideTip(); $('line').style.display = 'none'; $('readout').textContent = '\u00a0'; });
  panels.marks.over.addEventListener('click', (event) => { const near = nearest(event); if (near >= 0) select(near, true); });
}

function nearest(event) {
  const u = panels.marks, box = u.over.getBoundingClientRect();
  if (event.clientY < box.top - 4 || event.clientY > box.bottom + 4) return -1;
  const x = event.clientX - box.left, y = event.clientY - box.top;
  const place = (px) => (u.posToVal(px, 'x') - DATA.whole[0]) / DATA.failures.unit;
  let best = -1, least = REACH * REACH;
  for (let n = placeOf(rows.t, place(x - REACH)), end = placeOf(rows.t, place(x + REACH)); n < end; n++) {
    if (!shown[n]) continue;
    const dx = u.valToPos(timeOf(n), 'x') - x, dy = u.valToPos(Math.max(rows.took[n] * DATA.failures.unit * 1000, 1e-3), 'y') - y;
    if (dx * dx + dy * dy < least) { least = dx * dx + dy * dy; best = n; }
  }
  return best;
}

function podUnder(event) {
  const y = event.clientY - $('lanes').querySelector('canvas').getBoundingClientRect().top;
  const lane = lanes.find((one) => one.pod && y >= one.y && y < one.y + one.height);
  return lane ? lane.pod : null;
}

const podOf = (n) => {
  if (rows.pod[n] >= 0) return DATA.failures.pods[rows.pod[n]];
  if (rows.near[n] < 0) return 'not known';
  const names = DATA.failures.nearby[rows.near[n]].map((pod) => DATA.failures.pods[pod]);
  return `by time: ${names.slice(0, 3).join(' or ')}${names.length > 3 ? ` or ${names.length - 3} more` : ''}`;
};
const causeOf = (n) => (rows.cause[n] >= 0 ? DATA.failures.causes[rows.cause[n]].words : DATA.triggered ? 'failed before the trigger' : 'no rollout: no cause');
const connectionOf = (n) => (rows.conn[n] < 0 ? 'none was opened' : rows.carried[n] > 0 ? DATA.bucket.held ? 'a stream' : `reused, after ${number(rows.carried[n])} request${rows.carried[n] === 1 ? '' : 's'}` : 'new');
const saidOf = (n) => (rows.answer[n] >= 0 ? DATA.failures.answers[rows.answer[n]].said : rows.answer[n] === -2 ? 'not kept' : 'no answer');

function failureWords(n) {
  const words = DATA.failures, { name } = words.kinds[rows.kind[n]];
  const lines = [
    ['strong', `${name} at ${atWords(timeOf(n), 3)}`],
    ['div', causeOf(n)],
    ['div', `who answered: ${saidOf(n)}`],
    ['div', `pod ${podOf(n)}`],
    ['div', `${DATA.bucket.held ? 'lasted' : 'took'} ${lasting(rows.took[n] * words.unit * 1000)}; connection ${rows.conn[n] < 0 ? '' : `${rows.conn[n]} `}of worker ${rows.worker[n]}: ${connectionOf(n)}`],
  ];
  if (rows.peer[n] >= 0 && words.peers[rows.peer[n]]) lines.push(['div', `to ${words.peers[rows.peer[n]]}`]);
  if (rows.logged[n] >= 0) lines.push(['div', `access log: ${words.log[rows.logged[n]]}`]);
  if (words.targets.length > 1) lines.push(['div', words.targets[rows.target[n]] || '']);
  return lines;
}

function podWords(pod, t) {
  const state = pod.segments.find(([, from, to]) => from <= t && t < to);
  const lines = [['strong', `${pod.old ? 'old' : 'new'} pod ${pod.name}`], ['div', state ? DATA.looks.states[state[0]].label : 'not there']];
  if (pod.place) lines.push(['div', pod.place]);
  for (const [words, at] of pod.moments) lines.push(['div', `${atWords(at)}  ${words}`]);
  if (pod.exit) lines.push(['div', `${pod.exit}${pod.restarts ? `, restarts ${pod.restarts}` : ''}`]);
  for (const warning of DATA.warnings.filter((one) => DATA.pods[one.pod] === pod).slice(0, 4)) lines.push(['div', `\u26a0 ${atWords(warning.at)} ${warning.reason}: ${warning.message}`]);
  return lines;
}

function tip(lines, event) {
  const host = $('tip');
  host.replaceChildren(...lines.map(([name, words]) => el(name, {}, words)));
  host.hidden = false;
  const { width, height } = host.getBoundingClientRect();
  const left = event.clientX + 16 + width > innerWidth ? Math.max(4, event.clientX - width - 16) : event.clientX + 16;
  host.style.left = `${left}px`;
  host.style.top = `${Math.max(4, Math.min(event.clientY + 14, innerHeight - height - 4))}px`;
}

function hideTip() { $('tip').hidden = true; }

function readOut(t) {
  const { from, width, count, good, failed } = DATA.bucket, n = Math.floor((t - from) / width);
  const parts = [atWords(t, view.to - view.from < 2 ? 3 : 2)];
  if (n >= 0 && n < count) {
    const rate = (names, word) => names.reduce((sum, _, k) => sum + rows[`${word}${k}`][n], 0);
    parts.push(`${number(rate(good, 'good') / width)} ${DATA.bucket.held ? 'open' : 'good/s'}`);
    failed.forEach((kind, k) => { if (rows[`failed${k}`][n]) parts.push(`${number(rows[`failed${k}`][n])} \u00d7 ${kind}`); });
    if (rows.good_p50[n] >= 0) parts.push(`p50 ${lasting(rows.good_p50[n])}, p99 ${lasting(rows.good_p99[n])}, max ${lasting(rows.good_max[n])}`);
  }
  const serving = (old) => DATA.pods.filter((pod) => pod.old === old && pod.segments.some(([state, a, b]) => state === 'in_endpoints' && a <= t && t < b)).length;
  if (DATA.pods.length) parts.push(`in endpoints: ${serving(true)} old, ${serving(false)} new`);
  for (const gap of DATA.gaps) if (gap.span[0] <= t && t < gap.span[1]) parts.push(`the watch of ${gap.kind} saw nothing: ${gap.reason}`);
  for (const stall of DATA.stalls) if (stall.span[0] <= t && t < stall.span[1]) { parts.push(`the load generator itself was ${lasting(stall.lag)} late`); break; }
  $('readout').textContent = parts.join('   \u00b7   ');
}
