// Scripts of the views of users. All views work without them.
"use strict";

// Filters that were left empty are left out of the URL.

document.addEventListener("formdata", (event) => {
  if (!event.target.matches("[data-filters]")) return;
  for (const [name, value] of [...event.formData]) {
    if (value === "") event.formData.delete(name);
  }
});

// Counts the selected users; while there are none, the buttons are disabled.

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

// Focus the first invalid field of a refused form, or the first field of a new one.

const first =
  document.querySelector("[data-form] [aria-invalid]") ??
  document.querySelector("[data-form] input:not([type=hidden])");
first?.focus();

// A file is previewed without leaving the view, so that the browser still has it for the second
// request. What is refused is shown in place: see `responseHandling` in upload.html.

function setUpUpload(form) {
  const preview = () => document.getElementById("preview");
  form.querySelector("[type=file]").addEventListener("change", () => preview().replaceChildren());
  addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target.id === "preview") preview().querySelector("[tabindex]")?.focus();
  });
  // Other errors have a page of their own.
  for (const failure of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
    addEventListener(failure, () => form.requestSubmit());
  }
}

const upload = document.getElementById("upload");
if (upload) setUpUpload(upload);
