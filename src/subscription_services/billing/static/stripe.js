// Puts Stripe's payment element into the page. Card details stay in Stripe's own frame.
"use strict";

const holder = document.querySelector("[data-stripe]");
const problem = holder.querySelector("[data-problem]");
const form = holder.querySelector("form");
const button = form.querySelector("button");

const say = (text) => { problem.textContent = text; problem.hidden = !text; };

if (!window.Stripe) {
  say(holder.dataset.unloaded);
} else {
  const stripe = window.Stripe(holder.dataset.key, { locale: document.documentElement.lang });
  const elements = stripe.elements({ clientSecret: holder.dataset.secret });
  elements.create("payment").mount(holder.querySelector("[data-element]"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    say("");
    const answer = await stripe.confirmPayment({ elements, confirmParams: { return_url: holder.dataset.back } });
    button.disabled = false;
    if (answer.error) say(`${answer.error.message} ${holder.dataset.uncharged}`);
  });
}
