// Pieces that several views draw the same way: a site's line, its verdict, a role with its colour, a share bar.
import { ROLES, roleOf, siteParts } from "./data.js";
import { choice, ground, h, name, swatch } from "./dom.js";
import { bytes, shorten } from "./format.js";

export const VERDICTS = {
  growing: "Survivors were born in many steps: more memory with every step. A leak unless you want to keep them.",
  steady: "Born early and kept: parameters, optimizer state, and the like.",
  recent: "Temporaries of the latest step.",
  cache: "Held by an allocator or a library for reuse.",
  "one-off": "Born once, not part of a pattern.",
};

/** Which device a view of one device shows; when the page shows all, a way to the others. */
export function deviceChoice(model, store, shown) {
  const others = model.devices.filter((device) => device >= 0);
  if (others.length < 2 || store.get("device") !== "all") return h("span.muted", null, model.deviceName(shown));
  return choice(
    "Device",
    others.map((device) => [device, model.deviceName(device)]),
    shown,
    (device) => store.set({ device: String(device) }),
  );
}

/** The row of details that says how fast something grows, by step where steps are known. */
export const growthRow = (perStep, perSecond) => [
  "Grows",
  h("b.growing", null, perStep > 0 ? `+${bytes(perStep)} per step` : `+${bytes(perSecond)} per second`),
];

export const verdict = (text) =>
  h(
    `span.verdict.v-${/^[a-z-]+$/.test(text) ? text : "other"}`,
    { title: VERDICTS[text] },
    text === "growing" ? "▲ growing" : text || "–",
  );

export const role = (index) => h("span.role", null, swatch(ROLES[index][0]), ROLES[index][1]);

/** A bar of what something consists of: [[role, bytes]]. */
export function parts(roles) {
  const bar = h("span.roles", { title: roles.map(([key, size]) => `${roleOf(key).text} ${bytes(size)}`).join("\n") });
  for (const [key, size] of roles) {
    const part = h("i");
    part.style.flexGrow = String(size);
    part.style.background = ground(roleOf(key).key);
    bar.append(part);
  }
  return bar;
}

export function siteCell(model, site) {
  if (site < 0) return h("span.muted", null, "site not known");
  const parts = siteParts(model, site);
  return h(
    "span.site",
    null,
    name(shorten(parts.place || "?", 80), "bdi.place"),
    parts.function === "<module>" && parts.source ? null : name(shorten(parts.function, 90), "bdi.function"),
    parts.backward ? h("span.tag", { title: "allocated by the backward pass of this line" }, "backward") : null,
    parts.source ? name(shorten(parts.source, 140), "bdi.source") : null,
  );
}

/** A number with a bar behind it that shows its share. */
export function share(value, whole, kind) {
  const fillBar = h(`i.fill.${kind ?? "plain"}`, { "aria-hidden": "true" });
  fillBar.style.width = `${whole > 0 ? Math.max(0, Math.min(100, (100 * value) / whole)) : 0}%`;
  return h("span.share", null, fillBar, h("span", null, bytes(value)));
}
