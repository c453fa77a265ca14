// Small comforts; every page works without them.
"use strict";

const all = (selector) => Array.from(document.querySelectorAll(selector));

function smallButton(label) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button secondary small";
  button.textContent = label;
  return button;
}

for (const holder of all("[data-password]")) {
  const input = holder.querySelector("input");
  const { show, hide, showLong, hideLong } = holder.dataset; // in the language of the page
  const button = smallButton(show);
  button.setAttribute("aria-controls", input.id);
  button.setAttribute("aria-label", showLong);
  button.addEventListener("click", () => {
    const shown = input.type === "text";
    input.type = shown ? "password" : "text";
    button.textContent = shown ? show : hide;
    button.setAttribute("aria-label", shown ? showLong : hideLong);
  });
  input.form?.addEventListener("submit", () => { input.type = "password"; });
  holder.append(button);
}

for (const holder of all("[data-copy]")) {
  if (!navigator.clipboard) break;
  const { copy, copied } = holder.dataset;
  const button = smallButton(copy);
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(holder.querySelector("code").textContent);
    button.textContent = copied;
    setTimeout(() => { button.textContent = copy; }, 2000);
  });
  holder.append(button);
}

// a second press of the button must not send the form again; the server would notice, but people should see it
for (const form of all("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
    const button = event.submitter;
    if (!button) return;
    button.setAttribute("aria-disabled", "true");
    button.classList.add("busy");
    const text = button.querySelector("span");
    if (text && button.dataset.busy) text.textContent = button.dataset.busy;
  });
}
window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const form of all("form[data-once]")) delete form.dataset.sent;
  for (const button of all(".busy")) { button.classList.remove("busy"); button.removeAttribute("aria-disabled"); }
});

// on a narrow screen the row of pages scrolls sideways: begin where one is
for (const here of all(".nav-side [aria-current]")) here.scrollIntoView({ block: "nearest", inline: "center" });

for (const summary of all("[data-focus]")) summary.focus();

for (const menu of all("[data-menu]")) {
  document.addEventListener("click", (event) => { if (!menu.contains(event.target)) menu.open = false; });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}

// {message, value, max, next}: `next` is where to go when it is done
for (const holder of all("[data-poll]")) {
  const bar = holder.querySelector("progress");
  const message = holder.querySelector(".progress-message");
  const ask = async () => {
    let wait = 1000;
    try {
      const answer = await fetch(holder.dataset.poll, { headers: { accept: "application/json" } });
      if (answer.ok) {
        const state = await answer.json();
        if (typeof state.next === "string" && state.next.startsWith("/")) { location.replace(state.next); return; }
        if (state.message) message.textContent = state.message;
        if (typeof state.value === "number") { bar.max = state.max || 100; bar.value = state.value; }
      } else { wait = 5000; }
    } catch { wait = 5000; }
    setTimeout(ask, wait);
  };
  setTimeout(ask, 500);
}
