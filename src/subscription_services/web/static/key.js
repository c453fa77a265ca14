// A key that this browser makes and cannot give away. It signs what the server asks for, so that a copy of the cookies
// alone opens nothing. Browsers that keep such a key by themselves are not sent this file.
"use strict";

(() => {
  const { csrf, held, back, resend } = document.currentScript.dataset;
  // this page came because the server wants to see the key now, whenever it was shown last
  const urgent = back !== undefined || resend !== undefined;
  const show = (name, shown) => {
    const place = document.getElementById(name);
    if (place) place.hidden = !shown;
  };

  const base64url = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes)))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const part = (value) => base64url(new TextEncoder().encode(JSON.stringify(value)));

  const finished = (request) => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

  async function kept(use) {
    const opening = indexedDB.open("binding", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("kept");
    const database = await finished(opening);
    try {
      return await finished(use(database.transaction("kept", "readwrite").objectStore("kept")));
    } finally {
      database.close();
    }
  }
  const load = (name) => kept((store) => store.get(name));
  const keep = (name, value) => kept((store) => store.put(value, name));

  async function ask(body) {
    const answer = await fetch("/session/key", {
      method: "POST", headers: { "content-type": "application/json", "x-csrf-token": csrf }, body: JSON.stringify(body),
    });
    return answer.ok ? answer.json() : { step: answer.status < 500 ? "refused" : "later" };
  }

  async function signed(pair, challenge, first) {
    const header = { alg: "ES256", typ: "dbsc+jwt" };
    if (first) {
      const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", pair.publicKey);
      header.jwk = { kty, crv, x, y };
    }
    const text = `${part(header)}.${part({ jti: challenge })}`;
    const how = { name: "ECDSA", hash: "SHA-256" };
    return `${text}.${base64url(await crypto.subtle.sign(how, pair.privateKey, new TextEncoder().encode(text)))}`;
  }

  async function prove() {
    const due = await load("due");
    if (!urgent && due && due.held === held && Date.now() < due.at) return due.at - Date.now();
    let said = await ask({});
    if (said.step === "challenge") {
      const make = () => crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
      const pair = said.first ? await make() : await load("pair");
      if (!pair) return lost();
      if (said.first) await keep("pair", pair);
      said = await ask({ proof: await signed(pair, said.challenge, said.first) });
    }
    const done = said.step === "bound" || said.step === "renewed";
    if (back) return done ? location.replace(back) : lost();
    if (resend !== undefined && said.step === "later") return 5000;
    if (resend !== undefined && !done) return lost();
    show("checking", false);
    show("ready", done);
    const wait = done ? said.seconds * 1000 : 60000;
    await keep("due", { at: Date.now() + wait, held: done ? "script" : held });
    return said.step === "refused" ? undefined : wait;
  }

  function lost() {
    show("checking", false);
    show("ready", false);
    show("renew", true);
  }

  let timer;
  async function round() {
    clearTimeout(timer);
    try {
      const wait = await navigator.locks.request("binding", prove);
      if (wait !== undefined) timer = setTimeout(round, wait);
    } catch {
      lost();
    }
  }
  round();
  document.addEventListener("visibilitychange", () => { if (document.visibilityState === "visible") round(); });
  window.addEventListener("pageshow", (event) => { if (event.persisted) round(); });
})();
