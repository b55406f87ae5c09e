// The parts of a query beside its text: each a small label whose sign and weight can be changed.

import { picture } from "./api.js";
import { icon, make } from "./elements.js";
import { showsOneThing } from "./query.js";

const WEIGHTS = [1, 2, 0.5];

// tellsItems: whether the very thing that a picture shows can be looked for.
export function drawChips(list, query, changed, tellsItems) {
  const one = tellsItems && showsOneThing(query);
  list.replaceChildren(...query.parts.map((part, index) => chip(part, index, query, changed, one)));
}

function chip(part, index, query, changed, one) {
  const away = part.weight < 0;
  const name = part.text ?? part.name ?? "picture";
  const strength = Math.abs(part.weight);
  const remove = () => {
    query.parts.splice(index, 1);
    changed();
  };
  const flip = () => {
    part.weight = -part.weight;
    changed();
  };
  const meanItem = () => {
    query.item = !query.item;
    changed();
  };
  const weigh = () => {
    const next = WEIGHTS[(WEIGHTS.indexOf(strength) + 1) % WEIGHTS.length];
    part.weight = away ? -next : next;
    changed();
  };
  return make(
    "li",
    { class: away ? "chip away" : "chip" },
    make("button", { type: "button", class: "sign", onclick: flip, title: away ? "Look for it instead" : "Leave it out instead", "aria-label": `${name}: ${away ? "left out" : "looked for"}, change` }, away ? "−" : "+"),
    thumbnail(part, query),
    part.text ? make("span", { class: "chip-name" }, part.text) : null,
    one ? make("button", { type: "button", class: "very", onclick: meanItem, "aria-pressed": String(query.item), title: query.item ? "Look for things like it instead" : "Look for this very thing, not its kind" }, "this very thing") : null,
    make("button", { type: "button", class: "weight", onclick: weigh, title: "How much it counts", "aria-label": `${name} counts ${strength} times, change` }, strength === 0.5 ? "½" : `×${strength}`),
    make("button", { type: "button", class: "remove", onclick: remove, "aria-label": `Remove ${name}` }, icon("close")),
  );
}

function thumbnail(part, query) {
  if (part.text) return null;
  const source = part.url ?? picture(part.image, 96, part.box, query.collection);
  return make("img", { src: source, alt: part.box ? `a part of ${part.name}` : part.name ?? "picture" });
}
