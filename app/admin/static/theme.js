// In the head, before anything is painted, so that no page flashes in the other theme.
"use strict";

{
  const remembered = localStorage.getItem("theme");
  if (remembered) document.documentElement.dataset.theme = remembered;
}
