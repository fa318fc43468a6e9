// Sets the theme before anything is painted, so that no page flashes in the other one.
"use strict";

{
  const stored = localStorage.getItem("theme");
  if (stored) document.documentElement.dataset.theme = stored;
}
