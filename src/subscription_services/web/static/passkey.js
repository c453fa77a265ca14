// Asks the browser for a passkey and puts its answer into the form's field; the form is then sent like any other.
"use strict";

(() => {
  const bytes = (text) => Uint8Array.from(
    atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0)).buffer;
  const text = (buffer) => btoa(Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join(""))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const named = (list) => (list ?? []).map((item) => ({ ...item, id: bytes(item.id) }));

  // browsers that cannot turn JSON into options, or answers into JSON, by themselves
  const readCreation = (json) => PublicKeyCredential.parseCreationOptionsFromJSON?.(json) ?? {
    ...json, challenge: bytes(json.challenge), user: { ...json.user, id: bytes(json.user.id) },
    excludeCredentials: named(json.excludeCredentials),
  };
  const readRequest = (json) => PublicKeyCredential.parseRequestOptionsFromJSON?.(json) ?? {
    ...json, challenge: bytes(json.challenge), allowCredentials: named(json.allowCredentials),
  };
  function written(found) {
    if (found.toJSON) return found.toJSON();
    const { response } = found;
    const answer = { clientDataJSON: text(response.clientDataJSON) };
    for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (response[name]) answer[name] = text(response[name]);
    }
    if (response.getTransports) answer.transports = response.getTransports();
    const clientExtensionResults = found.getClientExtensionResults();
    return { id: found.id, rawId: text(found.rawId), type: found.type, response: answer, clientExtensionResults };
  }

  async function ask(form, field) {
    const answer = await fetch(field.dataset.begin, {
      method: "POST", body: "{}",
      headers: {
        accept: "application/json", "content-type": "application/json", "x-csrf-token": form.elements.csrf_token.value,
      },
    });
    const said = await answer.json();
    if (!answer.ok) throw Object.assign(new Error(), { told: said.detail });
    const found = field.dataset.passkey === "create"
      ? await navigator.credentials.create({ publicKey: readCreation(said) })
      : await navigator.credentials.get({ publicKey: readRequest(said) });
    return JSON.stringify(written(found));
  }

  for (const field of document.querySelectorAll("input[data-passkey]")) {
    const form = field.form;
    const told = form.querySelector("[data-told]");
    const button = form.querySelector("button[type=submit]");
    const tell = (words) => { told.textContent = words; told.hidden = false; };
    if (!window.PublicKeyCredential || !navigator.credentials) {
      button.disabled = true;
      tell(told.dataset.missing);
      continue;
    }
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (event.submitter !== button || form.dataset.asking) return;
      form.dataset.asking = "yes";
      told.hidden = true;
      try {
        field.value = await ask(form, field);
        form.submit();
      } catch (problem) {
        const known = problem.name === "InvalidStateError";
        tell(problem.told ?? (known ? told.dataset.known : told.dataset.failed));
        button.classList.remove("busy");
        button.removeAttribute("aria-disabled");
        delete form.dataset.sent;
      } finally {
        delete form.dataset.asking;
      }
    });
  }
})();
