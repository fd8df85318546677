// Builds dist/page.html and dist/diff.html: template + style + script, with a Content-Security-Policy that admits exactly these.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(here, "dist");
const read = (path) => readFileSync(join(here, path), "utf8");

const targets = ["chrome111", "firefox113", "safari16.4"];
const hash = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
const hex = (bytes) => createHash("sha256").update(bytes).digest("hex");

// What the page does not use of uPlot, and what it would pay for at every opening: paths of bars and curves, calendar
// time (an eighth of uPlot), and formatters of numbers and time zones, whose tables take the browser some 15 ms to load.
const UNUSED = [
  [/^\s*\(paths\.(bars|spline) +=.*;$/gm, ""],
  [/genTimeStuffs\([^)]*\);/g, "[[], [], () => null];"],
  [/new Intl\.NumberFormat\([^;]*\);/, "{ format: String };"],
  [/new Intl\.DateTimeFormat\(\)[^;]*;/, '"";'],
];
const lean = {
  name: "lean-uplot",
  setup: (build) =>
    build.onLoad({ filter: /uPlot\.esm\.js$/ }, ({ path }) => ({
      contents: UNUSED.reduce(
        (text, [what, instead]) => {
          if (text.search(what) < 0) throw new Error(`uPlot is written in another way than the build knows: ${what}`);
          return text.replace(what, instead);
        },
        readFileSync(path, "utf8"),
      ),
    })),
};

/** One page from its entry script, template and style sheets; throws when it is over `budget` bytes. */
async function page(name, entry, template, styles, budget) {
  const script = (
    await build({
      entryPoints: [join(here, entry)],
      bundle: true,
      minify: true,
      format: "iife",
      target: targets,
      charset: "utf8",
      loader: { ".txt": "text" },
      write: false,
      legalComments: "none",
      plugins: [lean],
    })
  ).outputFiles[0].text.trim();
  const theme = (
    await build({
      entryPoints: [join(here, "src/theme.js")],
      minify: true,
      format: "iife",
      target: targets,
      write: false,
    })
  ).outputFiles[0].text.trim();
  const style = (
    await build({
      stdin: { contents: styles.join("\n"), loader: "css", resolveDir: here },
      bundle: true,
      minify: true,
      target: targets,
      charset: "ascii",
      write: false,
    })
  ).outputFiles[0].text.trim();
  // The one text that would end an inline script early, and the data block's mark, must not stand in the code.
  for (const [what, text] of [
    ["script", script],
    ["style", style],
  ]) {
    if (/<\/(script|style)|<!--/i.test(text))
      throw new Error(`${name}: the ${what} holds a text that would end its element`);
    if (/@[A-Z_]+@/.test(text)) throw new Error(`${name}: the ${what} holds a template mark`);
  }
  const csp = `default-src 'none'; script-src ${hash(theme)} ${hash(script)}; style-src ${hash(style)}; base-uri 'none'; form-action 'none'`;
  const text = read(template)
    .replace("@CSP@", () => csp)
    .replace("@THEME@", () => theme)
    .replace("@STYLE@", () => style)
    .replace("@SCRIPT@", () => script);
  if (text.split("@VRAMTRACK_DATA@").length !== 2)
    throw new Error(`${name}: the data mark must stand in the page exactly once`);
  writeFileSync(join(out, name), text);
  console.log(`${name}: ${text.length} bytes (script ${script.length}, style ${style.length})`);
  if (text.length > budget) throw new Error(`${name} without data is over its budget of ${budget} bytes`);
  return `${hex(text)}  dist/${name}\n`;
}

mkdirSync(out, { recursive: true });
const style = read("src/style.css").replaceAll("@DARK@", () => read("src/dark.css"));
const built = [
  await page("diff.html", "src/diff_main.js", "src/diff_template.html", [style], 80 * 1024),
  await page("page.html", "src/main.js", "src/template.html", [style], 184 * 1024),
];
// What it was built from, in the form of sha256sum: the tests compare it without needing node.
const sources = [
  "build.mjs",
  "package-lock.json",
  ...["licences", "src"].flatMap((folder) => readdirSync(join(here, folder)).map((file) => `${folder}/${file}`)),
].sort();
writeFileSync(
  join(out, "sources.sha256"),
  sources.map((file) => `${hex(readFileSync(join(here, file)))}  ${file}\n`).join("") + built.join(""),
);
