// Signs an approval with a passkey: the challenge is a digest of exactly what is shown on the page.
"use strict";

for (const holder of document.querySelectorAll("[data-sign]")) {
  const form = holder.closest("form");
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const put = (name, value) => { holder.querySelector(`input[name=${name}]`).value = value; };
  form.addEventListener("submit", async (event) => {
    if (holder.dataset.signed) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const problem = holder.querySelector("[data-problem]");
    problem.hidden = true;
    try {
      const held = holder.dataset.credentials.split(" ").filter(Boolean);
      const found = await navigator.credentials.get({ publicKey: {
        challenge: bytes(holder.dataset.challenge),
        allowCredentials: held.map((id) => ({ type: "public-key", id: bytes(id) })),
        userVerification: "required",
      } });
      put("credential", text(found.rawId));
      put("client_data", text(found.response.clientDataJSON));
      put("authenticator_data", text(found.response.authenticatorData));
      put("signature", text(found.response.signature));
      holder.dataset.signed = "yes";
      form.requestSubmit();
    } catch {
      problem.hidden = false;
    }
  }, { capture: true });
}
