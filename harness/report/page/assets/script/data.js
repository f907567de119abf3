// The page's data: small things as they are, columns of numbers packed (encoding.py says how).
const DATA = JSON.parse(document.getElementById('data').textContent);
const BYTES = { u8: 1, u16: 2, u32: 4, f32: 4, f64: 8 };

async function columns() {
  const packed = Uint8Array.from(atob(DATA.columns), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('deflate'));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const found = {};
  let at = 0;
  for (const column of DATA.layout) {
    const size = BYTES[column.type];
    found[column.name] = unpacked(bytes.subarray(at, at + size * column.count), size, column);
    at += size * column.count;
  }
  return found;
}

function unpacked(planes, size, { type, count, base, rising }) {
  const values = new Float64Array(count);
  if (type[0] === 'f') {
    const whole = new Uint8Array(planes.length);
    for (let k = 0; k < size; k++) for (let i = 0; i < count; i++) whole[i * size + k] = planes[k * count + i];
    values.set(type === 'f32' ? new Float32Array(whole.buffer) : new Float64Array(whole.buffer));
    if (type === 'f32') return values;
  } else {
    for (let k = 0, unit = 1; k < size; k++, unit *= 256) for (let i = 0; i < count; i++) values[i] += planes[k * count + i] * unit;
  }
  let sum = 0;
  for (let i = 0; i < count; i++) values[i] = (rising ? (sum += values[i]) : values[i]) + base;
  return values;
}

// Elements are made by this alone. Text goes in as text, so nothing that a server or a cluster said is ever read as HTML.
function el(name, properties, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties || {})) {
    if (key in made && key !== 'role') made[key] = value;
    else made.setAttribute(key, value);
  }
  for (const child of children) if (child !== null && child !== undefined && child !== '') made.append(child);
  return made;
}

const $ = (id) => document.getElementById(id);

function atWords(seconds, digits = 2) {
  return `${seconds < 0 ? '\u2212' : '+'}${Math.abs(seconds).toFixed(digits)} s`;
}

function lasting(ms) {
  if (!(ms >= 0)) return '\u2013';
  if (ms < 1) return `${Math.round(ms * 1000)} \u00b5s`;
  if (ms < 10) return `${ms === Math.round(ms) ? ms : ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms === 1000 * Math.round(ms / 1000) && ms < 120000) return `${ms / 1000} s`;
  return ms < 120000 ? `${(ms / 1000).toFixed(ms < 10000 ? 2 : 1)} s` : `${Math.floor(ms / 60000)}m${String(Math.round(ms / 1000) % 60).padStart(2, '0')}s`;
}

const number = (n) => Math.round(n).toLocaleString('en-US');

// The first place in a rising column whose value is not below `value`.
function placeOf(column, value) {
  let low = 0, high = column.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (column[middle] < value) low = middle + 1; else high = middle;
  }
  return low;
}
