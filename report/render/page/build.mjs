// Builds dist/page.html: template + style + script, with a Content-Security-Policy that admits exactly these two.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(here, "dist", "page.html");
const read = (path) => readFileSync(join(here, path), "utf8");

const script = (await build({
  entryPoints: [join(here, "src/main.js")],
  bundle: true, minify: true, format: "iife", target: ["chrome111", "firefox113", "safari16.4"], charset: "ascii",
  loader: { ".txt": "text" }, write: false, legalComments: "none",
})).outputFiles[0].text.trim();

const css = read("src/style.css").replaceAll("@DARK@", () => read("src/dark.css"));
const style = (await build({
  stdin: { contents: css + readFileSync(join(here, "node_modules/uplot/dist/uPlot.min.css"), "utf8"), loader: "css", resolveDir: here },
  bundle: true, minify: true, target: ["chrome111", "firefox113", "safari16.4"], charset: "ascii", write: false,
})).outputFiles[0].text.trim();

// The one text that would end an inline script early, and the data block's mark, must not stand in the code.
for (const [what, text] of [["script", script], ["style", style]]) {
  if (/<\/(script|style)|<!--/i.test(text)) throw new Error(`the built ${what} holds a text that would end its element`);
  if (/@[A-Z_]+@/.test(text)) throw new Error(`the built ${what} holds a template mark`);
}

const hash = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
const csp = `default-src 'none'; script-src ${hash(script)}; style-src ${hash(style)}; base-uri 'none'; form-action 'none'`;
const page = read("src/template.html").replace("@CSP@", () => csp).replace("@STYLE@", () => style).replace("@SCRIPT@", () => script);
if (page.split("@VRAMTRACK_DATA@").length !== 2) throw new Error("the data mark must stand in the page exactly once");
mkdirSync(dirname(out), { recursive: true });
writeFileSync(out, page);
// What it was built from, in the form of sha256sum: the tests compare it without needing node.
const sources = ["build.mjs", "package-lock.json", ...["licences", "src"].flatMap((folder) => readdirSync(join(here, folder)).map((file) => `${folder}/${file}`))].sort();
const hex = (bytes) => createHash("sha256").update(bytes).digest("hex");
writeFileSync(join(dirname(out), "sources.sha256"), sources.map((file) => `${hex(readFileSync(join(here, file)))}  ${file}\n`).join("") + `${hex(page)}  dist/page.html\n`);
console.log(`${out}: ${page.length} bytes (script ${script.length}, style ${style.length})`);
if (page.length > 150 * 1024) throw new Error("the page without data is over its budget of 150 KiB");
