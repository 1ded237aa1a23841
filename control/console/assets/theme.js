// The theme is set before anything is painted.
(function () {
  "use strict";
  try {
    var chosen = localStorage.getItem("godwit-theme");
    if (chosen) document.documentElement.dataset.theme = chosen;
  } catch (e) { /* storage is switched off: the system's theme */ }
})();
