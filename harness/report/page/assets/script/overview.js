// The whole run in a strip, with a window around what the panels show.
function drawOverview() {
  const canvas = $('overview'), height = 46, ctx = sized(canvas, frame.width, height);
  const [first, last] = DATA.whole, left = frame.left, wide = plotWidth();
  const x = (t) => left + ((t - first) / (last - first)) * wide;
  for (const phase of DATA.phases) {
    ctx.fillStyle = ink[phaseTone(phase.name)];
    ctx.fillRect(x(phase.span[0]), 0, x(phase.span[1]) - x(phase.span[0]), height);
  }
  const { from, width, count, good, failed } = DATA.bucket, columnsOf = Math.ceil(wide / 2);
  const sent = new Float64Array(columnsOf), of = new Float64Array(columnsOf), lost = failed.map(() => new Float64Array(columnsOf));
  for (let n = 0; n < count; n++) {
    const at = Math.min(columnsOf - 1, Math.max(0, Math.floor(((from + (n + 0.5) * width - first) / (last - first)) * columnsOf)));
    of[at]++;
    good.forEach((_, k) => { sent[at] += rows[`good${k}`][n]; });
    failed.forEach((_, k) => { lost[k][at] += rows[`failed${k}`][n]; });
  }
  for (let n = 0; n < columnsOf; n++) {
    if (!of[n] && n) { sent[n] = sent[n - 1]; lost.forEach((column) => { column[n] = column[n - 1]; }); continue; } // a column is narrower than a bucket
    sent[n] /= of[n] || 1;
    lost.forEach((column) => { column[n] /= of[n] || 1; });
  }
  const top = Math.max(1e-9, ...sent);
  ctx.fillStyle = ink.good;
  for (let n = 0; n < columnsOf; n++) { const tall = (sent[n] / top) * (height - 16); ctx.fillRect(left + n * 2, height - tall, 2, tall); }
  failed.forEach((kind, k) => {
    ctx.fillStyle = groupColour(groupOf(kind));
    for (let n = 0; n < columnsOf; n++) if (lost[k][n]) ctx.fillRect(left + n * 2, height - Math.max(10, Math.min(1, lost[k][n] / top) * height), 2.4, Math.max(10, Math.min(1, lost[k][n] / top) * height));
  });
  ctx.strokeStyle = ink.ink;
  for (const moment of DATA.moments) if (moment.sort === 'trigger') { ctx.lineWidth = 1.5; ctx.beginPath(); ctx.moveTo(x(moment.at), 0); ctx.lineTo(x(moment.at), height); ctx.stroke(); }
  const low = x(view.from), high = x(view.to);
  ctx.fillStyle = ink.surface;
  ctx.globalAlpha = 0.66;
  ctx.fillRect(left, 0, low - left, height);
  ctx.fillRect(high, 0, left + wide - high, height);
  ctx.globalAlpha = 1;
  ctx.strokeStyle = ink.focus;
  ctx.lineWidth = 2;
  ctx.strokeRect(low + 1, 1, Math.max(high - low - 2, 2), height - 2);
  ctx.fillStyle = ink.muted;
  ctx.font = '11px system-ui, sans-serif';
  ctx.textAlign = 'right';
  ctx.textBaseline = 'middle';
  if (left > 100) { ctx.fillText('whole run', left - 8, height / 2 - 7); ctx.fillText(lasting((last - first) * 1000), left - 8, height / 2 + 8); }
}

function startOverview() {
  const canvas = $('overview');
  const time = (event) => DATA.whole[0] + ((event.clientX - canvas.getBoundingClientRect().left - frame.left) / plotWidth()) * (DATA.whole[1] - DATA.whole[0]);
  let held = null;
  canvas.addEventListener('pointerdown', (event) => {
    const t = time(event), edge = ((DATA.whole[1] - DATA.whole[0]) / plotWidth()) * 8;
    if (Math.abs(t - view.from) < edge) held = { side: 'from' };
    else if (Math.abs(t - view.to) < edge) held = { side: 'to' };
    else {
      const half = (view.to - view.from) / 2;
      if (t < view.from || t > view.to) show(t - half, t + half);
      held = { by: t - view.from };
    }
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener('pointermove', (event) => {
    if (!held) return;
    const t = time(event);
    if (held.side === 'from') show(Math.min(t, view.to - NARROWEST), view.to);
    else if (held.side === 'to') show(view.from, Math.max(t, view.from + NARROWEST));
    else show(t - held.by, t - held.by + view.to - view.from);
  });
  canvas.addEventListener('pointerup', () => { held = null; });
  canvas.addEventListener('dblclick', () => show(...DATA.whole));
}
