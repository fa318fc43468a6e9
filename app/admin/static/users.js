// What the views of users do beyond plain HTML. Everything works without it.
"use strict";

// An address says what was chosen, and not what was left empty.

document.addEventListener("formdata", (event) => {
  if (!event.target.matches("[data-filters]")) return;
  for (const [name, value] of [...event.formData]) {
    if (value === "") event.formData.delete(name);
  }
});

// Those who are selected are counted; where there are none, nothing can be done to them.

function showSelection(form) {
  const boxes = [...form.querySelectorAll("input[name=id]")];
  const chosen = boxes.filter((box) => box.checked).length;
  const all = form.querySelector("[data-select-all]");
  all.checked = chosen === boxes.length;
  all.indeterminate = chosen > 0 && !all.checked;
  form.querySelector("[data-selected]").textContent = chosen ? `${chosen} selected` : "None selected";
  for (const button of form.querySelectorAll("button")) button.disabled = chosen === 0;
}

function setUpSelection(form) {
  const all = form.querySelector("[data-select-all]");
  all.hidden = false;
  all.addEventListener("change", () => {
    for (const box of form.querySelectorAll("input[name=id]")) box.checked = all.checked;
  });
  form.addEventListener("change", () => showSelection(form));
  showSelection(form);
}

htmx.onLoad((part) => {
  for (const form of part.querySelectorAll("[data-selection]")) setUpSelection(form);
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("[data-selection]")) showSelection(form);
});

// A form that was refused begins at its first fault, a new one at its first field.

const first = document.querySelector("[data-form] [aria-invalid]")
  ?? document.querySelector("[data-form] input:not([type=hidden])");
first?.focus();

// A file is looked at without leaving the view, which so keeps it for the button that writes.

function setUpUpload(form) {
  const preview = () => document.getElementById("preview");
  const isPreview = (event) => event.detail.target === preview();
  form.querySelector("[type=file]").addEventListener("change", () => preview().replaceChildren());
  addEventListener("htmx:beforeSwap", (event) => {
    if (!isPreview(event) || ![409, 422].includes(event.detail.xhr.status)) return;
    event.detail.shouldSwap = true;
    event.detail.isError = false;
  });
  addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target.id === "preview") preview().querySelector("[tabindex]")?.focus();
  });
  // What else goes wrong is told by a page of its own.
  for (const failure of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
    addEventListener(failure, () => form.requestSubmit());
  }
}

const upload = document.getElementById("upload");
if (upload) setUpUpload(upload);
