// Small helpers over the DOM. Text goes in as text nodes only; nothing here parses HTML.

/** h("button.chip", {onclick, "aria-label": "…"}, "text", node, …) */
export function h(spec, attributes, ...children) {
  const [tag, ...classes] = spec.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  add(element, children);
  return element;
}

export function add(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

export function fill(element, ...children) {
  element.replaceChildren();
  return add(element, children);
}

/** Text of the traced program: isolated, so that a right-to-left name does not turn its neighbours. */
export const name = (text, spec = "bdi") => h(spec, null, text);

/** The ground that stands for something on the whole page: a colour of the style sheet, or the hatch. */
export const ground = (key) => `var(--${key === "cached" ? "hatch" : key})`;

export function swatch(key) {
  const square = h("i.swatch", { "aria-hidden": "true" });
  square.style.background = ground(key);
  return square;
}

/** An entry of a legend. */
export const legendKey = (key, text) => h("span.key", null, swatch(key), text);

export const $ = (id) => document.getElementById(id);

/** A colour of the style sheet, by its custom property. */
export const colour = (variable) => getComputedStyle(document.documentElement).getPropertyValue(`--${variable}`).trim();

/** Buttons of which one is pressed. options: [[value, label, title]]. */
export function choice(label, options, current, pick) {
  return h(
    "div.choice",
    { role: "group", "aria-label": label },
    options.map(([value, text, title]) =>
      h(
        "button",
        { type: "button", title, "aria-pressed": value === current ? "true" : "false", onclick: () => pick(value) },
        text,
      ),
    ),
  );
}

/** A canvas fitted to its element's size and the screen's pixel ratio; returns its context scaled to CSS pixels. */
export function fitCanvas(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [w, high] = [width, height].map((size) => Math.max(1, Math.round(size * ratio)));
  const context = canvas.getContext("2d");
  if (canvas.width !== w || canvas.height !== high) {
    canvas.width = w;
    canvas.height = high;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width + 1, height + 1);
  return context;
}

/** The diagonal hatch that means "cached: reserved, but no tensor in it" everywhere on the page. */
export function hatch(context, ink, ground) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const c = tile.getContext("2d");
  c.fillStyle = ground;
  c.fillRect(0, 0, 8, 8);
  c.strokeStyle = ink;
  c.lineWidth = 1.6;
  c.beginPath();
  for (const shift of [-8, 0, 8]) {
    c.moveTo(shift - 1, 9);
    c.lineTo(shift + 9, -1);
  }
  c.stroke();
  return context.createPattern(tile, "repeat");
}

const tip = () => $("tip");

/** Shows the floating note near the pointer. */
export function showTip(event, ...children) {
  const box = fill(tip(), ...children);
  box.hidden = false;
  const { innerWidth, innerHeight } = window;
  const { offsetWidth, offsetHeight } = box;
  box.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - offsetWidth - 8))}px`;
  const below = event.clientY + 18;
  box.style.top = `${below + offsetHeight > innerHeight - 8 ? Math.max(4, event.clientY - offsetHeight - 10) : below}px`;
}

export function hideTip() {
  tip().hidden = true;
}

/** Says something to a screen reader. */
export function announce(text) {
  $("live").textContent = text;
}
