// What the views of users do beyond plain HTML. Everything works without it.
"use strict";

// An address says what was chosen, and not what was left empty.

document.addEventListener("formdata", (event) => {
  if (!event.target.matches("[data-filters]")) return;
  for (const [name, value] of [...event.formData]) {
    if (value === "") event.formData.delete(name);
  }
});
