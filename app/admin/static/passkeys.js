// Logins, confirmations and registrations by passkey. Every view has another way as well.
"use strict";

const RENEWAL = 4 * 60 * 1000; // options are valid for five minutes
let offered; // aborts the offer beside the username

// Whether passkeys of the service can be used at this address.

function isAtDomain(form) {
  const { rpId } = form.dataset;
  return location.hostname === rpId || location.hostname.endsWith(`.${rpId}`);
}

async function optionsOf(form) {
  const headers = { Accept: "application/json", "X-CSRF-Token": form.elements.csrf.value };
  const response = await fetch(form.dataset.options, { method: "POST", headers });
  const body = await response.json();
  if (!response.ok) throw Object.assign(new Error(body.message), { status: response.status });
  return body;
}

function send(form, credential) {
  form.elements.credential.value = JSON.stringify(credential.toJSON());
  form.submit();
}

async function ask(form) {
  const options = await optionsOf(form);
  if (form.dataset.passkey === "create") {
    return navigator.credentials.create({
      publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options),
    });
  }
  return navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
}

async function answer(form) {
  const told = form.querySelector("[data-passkey-told]");
  told.hidden = true;
  offered?.abort();
  try {
    send(form, await ask(form));
  } catch (error) {
    // The session, or its confirmation, is over: the answer to the form leads back to it.
    if (error.status === 401 || error.status === 403) return form.submit();
    const isCancelled = error.name === "NotAllowedError";
    told.textContent = isCancelled
      ? gettext("No passkey was used.")
      : gettext("That did not work: %(reason)s", { reason: error.message });
    told.hidden = false;
  }
}

// Offers passkeys in the list below the username, without a prompt.

async function offer(form) {
  offered = new AbortController();
  const renewal = setTimeout(() => offered.abort("renewal"), RENEWAL);
  try {
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(await optionsOf(form));
    send(
      form,
      await navigator.credentials.get({ mediation: "conditional", publicKey, signal: offered.signal }),
    );
  } catch (error) {
    if (error === "renewal") offer(form);
  } finally {
    clearTimeout(renewal);
  }
}

function setUpPasskeys(form) {
  if (!isAtDomain(form)) {
    for (const hint of document.querySelectorAll("[data-passkey-elsewhere]")) hint.hidden = false;
    return;
  }
  form.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    answer(form);
  });
  if (form.dataset.passkey !== "login") return;
  PublicKeyCredential.isConditionalMediationAvailable?.().then((isAvailable) => {
    if (isAvailable) offer(form);
  });
}

if (window.PublicKeyCredential?.parseRequestOptionsFromJSON) {
  for (const form of document.querySelectorAll("[data-passkey]")) setUpPasskeys(form);
}
