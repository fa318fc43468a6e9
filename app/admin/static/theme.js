// Before anything is painted: the theme, so that no page flashes in the other one, and that there
// are scripts, so that nothing moves when the others show what works with them alone.
"use strict";

{
  document.documentElement.dataset.scripts = "";
  const stored = localStorage.getItem("theme");
  if (stored) document.documentElement.dataset.theme = stored;
}
