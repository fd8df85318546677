// Runs before anything is drawn, so that no page flashes in the wrong colours: the theme that the reader chose last, else
// the system's.
let theme;
try {
  theme = localStorage.getItem("vramtrack-theme");
} catch {
  // storage is off
}
document.documentElement.dataset.theme = /^(dark|light)$/.test(theme)
  ? theme
  : matchMedia("(prefers-color-scheme: dark)").matches
    ? "dark"
    : "light";
