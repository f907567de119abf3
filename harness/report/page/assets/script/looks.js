// Colours and shapes. Each kind of failure has both, so that they differ for every eye and in a grey print.
const SHAPES = { 502: 'triangle', 503: 'diamond', 504: 'square', UNAVAILABLE: 'diamond', DEADLINE_EXCEEDED: 'square', status: 'circle', none: 'cross' };
const EDGES = { 503: '#6b6000', UNAVAILABLE: '#6b6000', status: '#1d6a99' }; // of those too light to be seen on white
let ink = {};

function readTheme() {
  const style = getComputedStyle(document.documentElement);
  ink = { dark: dark() };
  for (const name of ['surface', 'sunk', 'ink', 'muted', 'line', 'edge', 'fail', 'good', 'p50', 'p99', 'max', 'failed', 'before',
    'during', 'after', 'warm', 'control', 'hatch', 'focus', 'doubt', 'chosen']) ink[name] = style.getPropertyValue(`--${name}`).trim();
}

// What has no whole response is drawn in ink: black, or white on dark.
const groupColour = (group) => (group === 'none' ? ink.ink : DATA.looks.groups[group].colour);

function outline(path, shape, x, y, r) {
  if (shape === 'triangle') {
    path.moveTo(x, y - r * 1.15); path.lineTo(x + r * 1.1, y + r * 0.85); path.lineTo(x - r * 1.1, y + r * 0.85); path.closePath();
  } else if (shape === 'diamond') {
    path.moveTo(x, y - r * 1.25); path.lineTo(x + r * 1.1, y); path.lineTo(x, y + r * 1.25); path.lineTo(x - r * 1.1, y); path.closePath();
  } else if (shape === 'square') {
    path.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8);
  } else if (shape === 'circle') {
    path.moveTo(x + r, y); path.arc(x, y, r, 0, 2 * Math.PI);
  } else {
    path.moveTo(x - r, y - r); path.lineTo(x + r, y + r); path.moveTo(x + r, y - r); path.lineTo(x - r, y + r);
  }
}

function paint(ctx, path, group, scale, faint, many) {
  const cross = SHAPES[group] === 'cross';
  ctx.globalAlpha = faint ? 0.15 : 1;
  ctx.lineWidth = (cross ? 2 : many ? 0.5 : 1) * scale;
  ctx.strokeStyle = cross ? ink.ink : ink.dark ? ink.surface : EDGES[group] || ink.surface;
  ctx.fillStyle = groupColour(group);
  if (!cross) ctx.fill(path);
  if (cross || !many || (EDGES[group] && !ink.dark)) ctx.stroke(path);
  ctx.globalAlpha = 1;
}

// A mark as a picture of its own: many of them are copied faster than drawn.
function stamp(group, radius, faint) {
  const size = Math.ceil(radius * 2.6) + 2, canvas = el('canvas', { width: size, height: size }), path = new Path2D();
  outline(path, SHAPES[group], size / 2, size / 2, radius);
  paint(canvas.getContext('2d'), path, group, radius / 3, faint, true);
  return canvas;
}

function sample(group, size = 14) {
  const canvas = el('canvas', { ariaHidden: 'true' });
  canvas.dataset.group = group;
  canvas.dataset.size = size;
  drawSample(canvas);
  return canvas;
}

function drawSample(canvas) {
  const size = Number(canvas.dataset.size), ctx = sized(canvas, size, size), path = new Path2D();
  outline(path, SHAPES[canvas.dataset.group], size / 2, size / 2, size * 0.32);
  paint(ctx, path, canvas.dataset.group, 1, false);
}

// A canvas of so many CSS pixels, sharp on every screen; returns its context, in CSS pixels, cleared.
function sized(canvas, width, height) {
  const scale = devicePixelRatio || 1;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const ctx = canvas.getContext('2d');
  ctx.setTransform(scale, 0, 0, scale, 0, 0);
  return ctx;
}

function hatched(ctx, left, top, width, height, colour, step = 6) {
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, top, width, height);
  ctx.clip();
  ctx.strokeStyle = colour;
  ctx.setLineDash([]);
  ctx.lineWidth = step / 6;
  ctx.beginPath();
  for (let x = Math.floor((left - height) / step) * step; x < left + width; x += step) {
    ctx.moveTo(x, top + height);
    ctx.lineTo(x + height, top);
  }
  ctx.stroke();
  ctx.restore();
}
