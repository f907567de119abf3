// The stretch of time that all panels show, in seconds.
const view = { from: DATA.focus[0], to: DATA.focus[1] };
const onView = [];
let pending = false;
const NARROWEST = 0.005;

function show(from, to) {
  const [first, last] = DATA.whole;
  const length = Math.min(Math.max(to - from, NARROWEST), last - first);
  view.from = Math.min(Math.max(from, first), last - length);
  view.to = view.from + length;
  redraw();
}

// Once a frame, however often it is asked for.
function redraw() {
  if (pending) return;
  pending = true;
  requestAnimationFrame(() => { pending = false; for (const listener of onView) listener(); });
}

function zoom(factor, around = (view.from + view.to) / 2) {
  show(around - (around - view.from) * factor, around + (view.to - around) * factor);
}

const pan = (share) => show(view.from + (view.to - view.from) * share, view.to + (view.to - view.from) * share);
const reset = () => show(...DATA.focus);

// Where the plots are, in CSS pixels of the stack.
const frame = { left: 180, right: 14, width: 0 };
const plotWidth = () => Math.max(frame.width - frame.left - frame.right, 10);
const xOf = (t) => frame.left + ((t - view.from) / (view.to - view.from)) * plotWidth();
const timeAt = (x) => view.from + ((x - frame.left) / plotWidth()) * (view.to - view.from);

function ticks() {
  const most = plotWidth() / 80, length = view.to - view.from;
  let step = 10 ** Math.floor(Math.log10(length / most));
  for (const times of [1, 2, 5, 10]) if (length / (step * times) <= most) { step *= times; break; }
  if (length > 600) for (const whole of [60, 120, 300, 600, 1800, 3600, 7200, 21600]) if (length / whole <= most) { step = whole; break; }
  const found = [];
  for (let n = Math.ceil(view.from / step - 1e-9); n * step <= view.to + step * 1e-9; n++) found.push(Math.round(n * step * 1e6) / 1e6);
  return found;
}

function tickWords(t) {
  const length = view.to - view.from, digits = length < 0.05 ? 3 : length < 0.8 ? 2 : length < 8 ? 1 : 0;
  return t === 0 ? '0' : `${t < 0 ? '\u2212' : '+'}${Math.abs(t).toFixed(digits)}`;
}
