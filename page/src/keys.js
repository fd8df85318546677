// Keyboard of the page and the help that lists it. Keys typed into a field are the field's.
import { $ } from "./dom.js";

const DIGITS = [..."1234567890"]; // of the tabs, from the left

export function installKeys(store, tabs) {
  const help = $("help");
  $("help-tabs").textContent = DIGITS[tabs.length - 1];
  const dialog = (open) => (open && !help.open ? help.showModal() : help.close());
  $("help-open").addEventListener("click", () => dialog(true));
  help.addEventListener("click", (event) => event.target === help && help.close());
  const search = $("search");
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName ?? "");
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      if (event.target === search) {
        search.value = "";
        store.set({ query: "" });
        search.blur();
      } else if (!help.open) {
        store.set({ site: -1, block: -1, node: "", holder: "" });
      }
      return;
    }
    if (typing) return;
    if (event.key === "/") {
      search.focus();
      search.select();
    } else if (event.key === "?") {
      dialog(!help.open);
    } else if (tabs[DIGITS.indexOf(event.key)]) {
      const { key } = tabs[DIGITS.indexOf(event.key)];
      store.set({ tab: key });
      $(`tab-${key}`).focus();
    } else if (event.key === "[" || event.key === "]") {
      store.set({ at: event.key === "[" ? "peak" : "now" });
    } else {
      return;
    }
    event.preventDefault();
  });
  let timer = 0;
  search.value = store.get("query");
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => store.set({ query: search.value }), 60);
  });
}

/** Roving focus of the tab strip, as screen readers expect. */
export function tabKeys(strip, tabs, store) {
  strip.addEventListener("keydown", (event) => {
    const at = tabs.findIndex((tab) => tab.key === store.get("tab"));
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined) return;
    const next = tabs[(to + tabs.length) % tabs.length].key;
    store.set({ tab: next });
    document.getElementById(`tab-${next}`).focus();
    event.preventDefault();
    event.stopPropagation();
  });
}

/** The theme that theme.js chose, until the button or the system says otherwise. */
export function installTheme(changed) {
  const button = $("theme");
  const { dataset } = document.documentElement;
  const label = () => (button.textContent = dataset.theme === "dark" ? "Light" : "Dark");
  const set = (theme) => {
    dataset.theme = theme;
    label();
    changed();
  };
  button.addEventListener("click", () => {
    set(dataset.theme === "dark" ? "light" : "dark");
    try {
      localStorage.setItem("vramtrack-theme", dataset.theme);
    } catch {
      // not kept
    }
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) =>
    set(event.matches ? "dark" : "light"),
  );
  label();
}
