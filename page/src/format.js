// Numbers and names as people read them. Every string of the report passes through show() or shorten() before it is
// drawn: names are hostile input (control characters, direction overrides, 10,000 characters).

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/** "1.26 GiB"; three significant digits, exact below 1 KiB. */
export function bytes(value) {
  if (value < 0) return "−" + bytes(-value);
  let unit = 0;
  let n = value;
  while (n >= 1023.5 && unit < UNITS.length - 1) {
    n /= 1024;
    ++unit;
  }
  const text =
    unit === 0 ? String(Math.round(n)) : n >= 99.95 ? n.toFixed(0) : n >= 9.995 ? n.toFixed(1) : n.toFixed(2);
  return `${text} ${UNITS[unit]}`;
}

export const exactBytes = (value) => `${count(value)} bytes`;

/** "1,234,567". Not by Intl: its tables take the browser some 10 ms to load. */
export const count = (value) => String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ",");

export function percent(part, whole) {
  if (!whole) return "0 %";
  const p = (100 * part) / whole;
  return p > 0 && p < 0.1 ? "< 0.1 %" : `${p < 9.95 ? p.toFixed(1) : p.toFixed(0)} %`;
}

/** "12 m 04 s", "151 s", "2.60 s", "31 ms". */
export function seconds(value) {
  if (value >= 3600) return `${Math.floor(value / 3600)} h ${pad(Math.floor((value % 3600) / 60))} m`;
  if (value >= 200) return `${Math.floor(value / 60)} m ${pad(Math.floor(value % 60))} s`;
  if (value >= 100) return `${value.toFixed(0)} s`;
  if (value >= 1) return `${value.toFixed(value >= 10 ? 1 : 2)} s`;
  return `${(value * 1000).toFixed(value >= 0.01 || value === 0 ? 0 : 2)} ms`;
}

const pad = (n) => String(n).padStart(2, "0");

/** Of a merged report's out-of-memory event: its process. */
export const rankName = ({ rank }) => (/^\d+$/.test(rank) ? `rank ${rank}` : show(rank));

export const plural = (n, one, many = one + "s") => `${count(n)} ${n === 1 ? one : many}`;

// Characters that would be invisible, ring bells, or turn the reading direction of what stands around them.
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\u061c\ufeff]/g;

/** The text with its invisible characters made visible; never shorter than what the program said. */
export function show(text) {
  return text.replace(UNSAFE, (c) => {
    const code = c.charCodeAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    return `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

/** show(), with the middle left out beyond `limit` characters: both ends of a path say something. */
export function shorten(text, limit = 160) {
  if (text.length > limit) {
    const head = Math.ceil((limit - 1) / 2);
    text = text.slice(0, head) + "…" + text.slice(text.length - (limit - 1 - head));
  }
  return show(text);
}

export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

export const basename = (path) => path.slice(path.lastIndexOf("/") + 1);

/** A native function's name without its argument list: what fits on a bar. */
export function bareName(name) {
  const end = name.indexOf("(", name.startsWith("(") ? 1 : 0);
  if (end <= 0 || name.length < 40) return name;
  const bare = name.slice(0, end);
  return bare.includes("operator") ? name : bare;
}
