// Before anything is drawn: the theme that was chosen, else the system's, so that a dark
// page never flashes white.
(function () {
  var theme = null;
  try {
    theme = localStorage.getItem("testmesh.theme");
  } catch (_) {
    // Storage is switched off: the system's theme it is.
  }
  if (theme !== "light" && theme !== "dark") theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  document.documentElement.dataset.theme = theme;
})();
