// Zoom of the timelines. Places across are percents of the whole; a stretch of it is shown by moving them.
const view = { from: 0, to: 1 }; // shares of the whole
const LETTER = 8; // pixels that a letter of a phase's name needs
const items = [];
let plots = [];

function startZoom() {
  plots = [...document.querySelectorAll('#stack .plot')];
  for (const plot of plots) {
    for (const old of plot.querySelectorAll('.tick-at')) old.remove();
    for (const one of plot.querySelectorAll(':scope > rect, :scope > line, :scope g line')) {
      const places = ['x', 'x1', 'x2', 'width'].filter((name) => one.hasAttribute(name) && one.getAttribute(name).endsWith('%'));
      if (one.getAttribute('x2') !== '100%') items.push({ one, places: places.map((name) => [name, parseFloat(one.getAttribute(name)) / 100]) });
    }
  }
  for (const [id, act] of [['pan-left', () => pan(-0.3)], ['pan-right', () => pan(0.3)], ['zoom-in', () => zoom(0.5)], ['zoom-out', () => zoom(2)],
    ['zoom-whole', () => show(0, 1)], ['zoom-near', () => show(...near())]]) $(id).addEventListener('click', act);
  $('zoom-near').hidden = !near();
  $('tools').hidden = false;
  startDrag();
  new ResizeObserver(() => draw()).observe($('stack'));
  draw();
}

// From a little before the trigger until the last failure or deletion of a pod.
function near() {
  const last = Math.max(...DATA.sides.map((side) => side.last));
  if (last < 0) return null;
  const zero = -DATA.from / DATA.width, around = Math.max((last - zero) * 0.08, 10);
  const to = Math.min((last + around) / DATA.count, 1);
  return to < 0.7 ? [Math.max((zero - around) / DATA.count, 0), to] : null;
}

function show(from, to) {
  const length = Math.min(Math.max(to - from, 10 / DATA.count), 1);
  view.from = Math.min(Math.max(from, 0), 1 - length);
  view.to = view.from + length;
  draw();
}

function zoom(factor, around = bin === null ? (view.from + view.to) / 2 : bin / DATA.count) {
  show(around - (around - view.from) * factor, around + (view.to - around) * factor);
}

const pan = (share) => show(view.from + (view.to - view.from) * share, view.to + (view.to - view.from) * share);
const shareOf = (place) => (place - view.from) / (view.to - view.from);

function draw() {
  const length = view.to - view.from, wide = plotBox().width;
  for (const { one, places } of items) for (const [name, place] of places) one.setAttribute(name, `${(100 * (name === 'width' ? place / length : shareOf(place))).toFixed(3)}%`);
  for (const name of document.querySelectorAll('#stack .phase-name')) {
    const band = name.previousElementSibling, begin = parseFloat(band.getAttribute('x')) / 100, end = begin + parseFloat(band.getAttribute('width')) / 100;
    const seen = [Math.max(begin, 0), Math.min(end, 1)];
    name.setAttribute('visibility', (seen[1] - seen[0]) * wide > LETTER * name.textContent.length ? 'visible' : 'hidden');
    name.setAttribute('x', `${50 * (seen[0] + seen[1])}%`);
  }
  for (const inner of document.querySelectorAll('#stack .stretched')) inner.setAttribute('viewBox', `${view.from * DATA.count} 0 ${length * DATA.count} ${inner.getAttribute('height')}`);
  drawTicks();
  if (bin !== null) readOut();
}

function drawTicks() {
  const begin = DATA.from + view.from * DATA.count * DATA.width, length = (view.to - view.from) * DATA.count * DATA.width;
  const most = Math.max(plotBox().width / 90, 2);
  let step = 10 ** Math.floor(Math.log10(length / most));
  for (const times of [1, 2, 5, 10]) if (length / (step * times) <= most) { step *= times; break; }
  const ticks = [];
  for (let n = Math.ceil(begin / step - 1e-9); n * step <= begin + length + 1e-9; n++) ticks.push([(n * step - begin) / length, n * step]);
  for (const plot of plots) {
    for (const old of plot.querySelectorAll('.tick-at')) old.remove();
    const written = plot.parentElement.parentElement.classList.contains('ticks'), height = plot.getAttribute('height');
    for (const [share, at] of ticks) {
      const x = `${(100 * share).toFixed(3)}%`;
      if (!written) plot.insertBefore(svg('line', { x1: x, x2: x, y1: 0, y2: height, class: 'grid tick-at' }), plot.querySelector('.trigger'));
      else {
        const words = svg('text', { x, y: 13, class: 'tick tick-at', 'text-anchor': share < 0.02 ? 'start' : share > 0.98 ? 'end' : 'middle' });
        words.textContent = at === 0 ? '0' : `${at < 0 ? '\u2212' : '+'}${Math.abs(at).toFixed(step < 0.1 ? 2 : step < 1 ? 1 : 0)}`;
        plot.append(words);
      }
    }
  }
}

function svg(name, attributes) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// A drag across the timelines shows that stretch; a double click shows the whole again.
function startDrag() {
  const stack = $('stack');
  let began = null;
  const placeOf = (event) => { const box = plotBox(); return view.from + ((event.clientX - box.left) / box.width) * (view.to - view.from); };
  stack.addEventListener('pointerdown', (event) => { began = event.button === 0 && event.pointerType === 'mouse' ? [event.clientX, placeOf(event)] : null; });
  stack.addEventListener('pointerup', (event) => {
    if (began && Math.abs(event.clientX - began[0]) > 6) { const to = placeOf(event); show(Math.min(began[1], to), Math.max(began[1], to)); }
    began = null;
  });
  stack.addEventListener('dblclick', () => show(0, 1));
}
