// Puts everything together once the columns are unpacked.
function measureFrame() {
  frame.width = $('stack').clientWidth;
  frame.left = frame.width < 700 ? 58 : 190;
}

function dark() {
  const given = document.documentElement.dataset.theme;
  return given ? given === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
}

function repaint() {
  readTheme();
  $('theme').textContent = dark() ? 'Light' : 'Dark';
  $('theme').setAttribute('aria-label', `Switch to the ${dark() ? 'light' : 'dark'} theme`);
  if (!rows) return;
  document.querySelectorAll('canvas[data-group]').forEach(drawSample);
  latencyKey();
  redraw();
}

function startKeys() {
  $('stack').addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const keys = {
      ArrowLeft: () => pan(-0.15), ArrowRight: () => pan(0.15), '+': () => zoom(0.6), '=': () => zoom(0.6), '-': () => zoom(1 / 0.6),
      0: reset, Home: () => show(...DATA.whole), Escape: clearChoice,
    };
    if (!(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });
  $('stack').addEventListener('wheel', (event) => {
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) ? event.deltaX : event.shiftKey ? event.deltaY : 0;
    if (!event.ctrlKey && !sideways) return;
    event.preventDefault();
    if (sideways) pan(Math.sign(sideways) * 0.08);
    else zoom(event.deltaY > 0 ? 1.25 : 0.8, timeAt(event.clientX - $('stack').getBoundingClientRect().left));
  }, { passive: false });
  for (const [id, act] of [['pan-left', () => pan(-0.3)], ['pan-right', () => pan(0.3)], ['zoom-in', () => zoom(0.5)], ['zoom-out', () => zoom(2)]]) {
    $(id).addEventListener('click', act);
  }
}

function startSpans() {
  const spans = DATA.rollouts.length > 1
    ? DATA.rollouts.map((one, n) => [`Rollout ${n + 1}${one.lost ? ` (${number(one.lost)} lost)` : ''}`, one.span])
    : [[DATA.triggered ? 'Rollout' : 'Reset', DATA.focus]];
  for (const [words, span] of [...spans, ['Whole run', DATA.whole]]) {
    const button = el('button', { type: 'button' }, words);
    button.addEventListener('click', () => show(...span));
    $('spans').append(button);
  }
  $('tools').hidden = false;
}

function startKinds() {
  const counted = new Map();
  rows.kind.forEach((place) => { // of kinds that the buckets hold together as "other"
    const { name } = DATA.failures.kinds[place];
    counted.set(name, (counted.get(name) || 0) + 1);
  });
  DATA.bucket.failed.forEach((kind, k) => counted.set(kind, rows[`failed${k}`].reduce((sum, n) => sum + n, 0)));
  const known = DATA.failures.kinds.map((kind, place) => ({ ...kind, place, count: counted.get(kind.name) || 0 })).sort((a, b) => b.count - a.count);
  $('kinds').replaceChildren(...known.map(({ name, group, place, count }) => {
    const button = el('button', { type: 'button', title: 'Show these failures only' }, sample(group), `${name}: ${number(count)}`);
    button.dataset.kind = place;
    button.setAttribute('aria-pressed', 'false');
    return button;
  }));
  const early = DATA.failures.in_warmup;
  if (early) $('kinds').append(el('span', {}, `${number(early)} of them in the warm-up, which is not judged`));
}

function startCopy() {
  for (const button of document.querySelectorAll('button[data-copies]')) {
    button.addEventListener('click', async () => {
      const source = $(button.dataset.copies);
      try {
        await navigator.clipboard.writeText(source.textContent);
      } catch {
        getSelection().selectAllChildren(source); // a page that came over plain HTTP has no clipboard
        document.execCommand('copy');
      }
      button.textContent = 'Copied';
      setTimeout(() => { button.textContent = 'Copy'; }, 2000);
    });
  }
}

function startNav() {
  for (const title of document.querySelectorAll('main > section > h2, main > section > .head > h2')) {
    const section = title.closest('section');
    if (section.id && !section.hidden) $('nav').append(el('a', { href: `#${section.id}` }, title.dataset.short || title.textContent));
  }
}

async function start() {
  startCopy();
  readTheme();
  repaint();
  $('theme').addEventListener('click', () => { document.documentElement.dataset.theme = dark() ? 'light' : 'dark'; repaint(); });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', repaint);
  $('failures').hidden = !DATA.failures.drawn;
  startNav();
  rows = await columns();
  measureFrame();
  shown = new Uint8Array(rows.t.length).fill(1);
  startKinds();
  startSpans();
  startPanels();
  if (!rows.t.length) $('marks').querySelector('small').hidden = true;
  startSelection();
  startTable();
  startHover();
  startOverview();
  startKeys();
  stateKey();
  onView.push(layLanes, drawPanels, drawLanes, drawNotes, drawOverview);
  apply();
  repaint();
  new ResizeObserver(() => {
    if ($('stack').clientWidth === frame.width) return;
    measureFrame();
    sizePanels();
    redraw();
    drawRows();
  }).observe($('stack'));
  let before;
  addEventListener('beforeprint', () => { before = document.documentElement.dataset.theme; document.documentElement.dataset.theme = 'light'; repaint(); });
  addEventListener('afterprint', () => { if (before) document.documentElement.dataset.theme = before; else delete document.documentElement.dataset.theme; repaint(); });
  // What the panels show, for whoever drives the page: its tests, or a person at the console.
  window.zdtest = {
    scales: () => ({ ...Object.fromEntries(Object.entries(panels).map(([name, u]) => [name, [u.scales.x.min, u.scales.x.max]])), lanes: [view.from, view.to] }),
    marks: () => {
      const u = panels.marks, box = u.over.getBoundingClientRect(), [first, last] = inView(), found = [];
      for (let n = first; n < last; n++) if (shown[n]) found.push([box.left + u.valToPos(timeOf(n), 'x'), box.top + u.valToPos(rows.took[n] * DATA.failures.unit * 1000, 'y')]);
      return found;
    },
    slowest: () => lasting(rows.took.reduce((most, took) => Math.max(most, took), 0) * DATA.failures.unit * 1000),
  };
  document.documentElement.dataset.ready = 'yes';
}

start().catch((error) => {
  $('trouble').hidden = false;
  $('trouble').textContent = `The picture cannot be drawn in this browser (${error.message}). Use one from 2023 or later; timeline.png, beside this file, shows the same.`;
  console.error(error);
});
