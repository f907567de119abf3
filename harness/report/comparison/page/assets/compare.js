// The charts stand in the page already. This adds the theme, the numbers of a moment, and the choice of a rollout.
const DATA = JSON.parse(document.getElementById('data').textContent);
const SIDES = ['BEFORE', 'AFTER'];
const $ = (id) => document.getElementById(id);
const chosen = DATA ? DATA.sides.map((side) => side.typical) : [];
let bin = null;

// Elements are made by this alone. Text goes in as text, so nothing that a recording says is ever read as HTML.
function el(name, properties, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties || {})) {
    if (key in made && key !== 'role') made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

const number = (n) => n.toLocaleString('en-US', { maximumFractionDigits: 1 });

function dark() {
  const given = document.documentElement.dataset.theme;
  return given ? given === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
}

function nameTheme() {
  $('theme').hidden = false;
  $('theme').textContent = dark() ? 'Light' : 'Dark';
  $('theme').setAttribute('aria-label', `Switch to the ${dark() ? 'light' : 'dark'} theme`);
}

function startTheme() {
  nameTheme();
  $('theme').addEventListener('click', () => { document.documentElement.dataset.theme = dark() ? 'light' : 'dark'; nameTheme(); });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', nameTheme);
  let before;
  addEventListener('beforeprint', () => { before = document.documentElement.dataset.theme; document.documentElement.dataset.theme = 'light'; });
  addEventListener('afterprint', () => { if (before) document.documentElement.dataset.theme = before; else delete document.documentElement.dataset.theme; });
}

function startNav() {
  for (const title of document.querySelectorAll('main > section > h2')) {
    $('nav').append(el('a', { href: `#${title.closest('section').id}` }, title.dataset.short || title.textContent));
  }
}

// --- the choice of a rollout: its lines are bold, its pods' moments are shown, its numbers are read out ---

const drawn = (side, place) => DATA.sides[side].rollouts.find((one) => one.place === place);

function choose(side, rollout) {
  if (!drawn(side, rollout)) return;
  chosen[side] = rollout;
  for (const path of document.querySelectorAll(`.r[data-side="${side}"]`)) path.classList.toggle('bold', Number(path.dataset.rollout) === rollout);
  for (const bold of document.querySelectorAll(`#stack .r.bold[data-side="${side}"]`)) bold.parentElement.append(bold);
  for (const lanes of document.querySelectorAll(`.lanes[data-side="${side}"]`)) lanes.setAttribute('visibility', Number(lanes.dataset.rollout) === rollout ? 'visible' : 'hidden');
  for (const dot of document.querySelectorAll(`.dot[data-side="${side}"]`)) dot.classList.toggle('chosen', Number(dot.dataset.rollout) === rollout);
  if ($(`choice${side}`)) $(`choice${side}`).value = rollout;
  if (bin !== null) readOut();
}

function startChoice() {
  DATA.sides.forEach((side, number_) => {
    if (side.rollouts.length < 2) return;
    const select = el('select', { id: `choice${number_}` }, ...side.rollouts.map((rollout) => el('option', { value: rollout.place }, `${rollout.place + 1}: ${number(rollout.lost)} lost (${rollout.label})`)));
    select.value = side.typical;
    select.addEventListener('change', () => choose(number_, Number(select.value)));
    $('choice').append(el('label', {}, el('span', { className: `side s${number_}` }, SIDES[number_]), ' in bold: ', select));
  });
  for (const dot of document.querySelectorAll('.dot')) dot.addEventListener('click', () => choose(Number(dot.dataset.side), Number(dot.dataset.rollout)));
}

// --- the numbers of a moment ---

const plotBox = () => document.querySelector('#stack .plot').getBoundingClientRect();

function readOut() {
  const at = DATA.from + bin * DATA.width, parts = [`${at < 0 ? '\u2212' : '+'}${Math.abs(at).toFixed(1)} s`];
  DATA.sides.forEach((side, n) => {
    const { good, failed, known } = drawn(n, chosen[n]), group = Math.floor(bin / DATA.every);
    const lost = `${number(failed[bin] || 0)} failed`, measured = group >= known[0] && group < known[1];
    parts.push(`${SIDES[n]}: ${measured ? `${lost}, ${number(good[group - known[0]] / DATA.width / DATA.every)} good a second` : failed[bin] ? lost : 'no load'}`);
  });
  $('readout').textContent = parts.join('   \u00b7   ');
  const box = plotBox(), stack = $('stack').getBoundingClientRect();
  $('line').style.display = 'block';
  const share = shareOf((bin + 0.5) / DATA.count);
  $('line').hidden = share < 0 || share > 1;
  $('line').style.left = `${box.left - stack.left + share * box.width}px`;
}

function clear() {
  bin = null;
  $('line').style.display = 'none';
  $('readout').textContent = '\u00a0';
}

function startReadout() {
  const stack = $('stack');
  stack.addEventListener('pointermove', (event) => {
    const box = plotBox(), share = (event.clientX - box.left) / box.width;
    if (share < 0 || share >= 1) { clear(); return; }
    bin = Math.floor((view.from + share * (view.to - view.from)) * DATA.count);
    readOut();
  });
  stack.addEventListener('pointerleave', () => { if (document.activeElement !== stack) clear(); });
  stack.addEventListener('blur', clear);
  stack.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const zero = Math.round(-DATA.from / DATA.width), step = event.shiftKey ? 10 : 1;
    const to = { ArrowLeft: () => bin - step, ArrowRight: () => bin + step, Home: () => 0, End: () => DATA.count - 1 }[event.key];
    const zooms = { '+': () => zoom(0.6), '=': () => zoom(0.6), '-': () => zoom(1 / 0.6), 0: () => show(0, 1), Escape: clear }[event.key];
    if (!to && !zooms) return;
    event.preventDefault();
    if (zooms) { zooms(); return; }
    bin = bin === null && event.key.startsWith('Arrow') ? zero : Math.min(Math.max(to(), 0), DATA.count - 1);
    const share = shareOf((bin + 0.5) / DATA.count);
    if (share < 0 || share > 1) { const half = (view.to - view.from) / 2; show(bin / DATA.count - half, bin / DATA.count + half); }
    readOut();
  });
}

startTheme();
startNav();
if (DATA) {
  startChoice();
  startReadout();
  startZoom();
  // For whoever drives the page: its tests, or a person at the console.
  window.zdtest = { chosen: () => [...chosen], bin: () => bin, view: () => [view.from, view.to] };
}
document.documentElement.dataset.ready = 'yes';
