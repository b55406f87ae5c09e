// The grid: one card an image, its best region framed, and enlarged in a corner.

import { picture } from "./api.js";
import { calm, isWhole, make, place } from "./elements.js";
import { RegionDrawer } from "./region.js";

const CARD = 512; // pixels of a card's picture, enough for dense screens
const INSET = 224;
const DOUBTFUL = 0.25; // relevance below which a picture is shown as a doubtful answer
const SMALL = 0.2; // share of the image up to which a region is also shown enlarged

export class Grid {
  constructor(list, { opened, drew }) {
    this.list = list;
    this.opened = opened;
    this.drew = drew;
    this.cards = new Map();
    this.hits = [];
    list.addEventListener("keydown", (event) => this.walk(event));
  }

  // Shows hits, best first; those that stay glide to their new place.
  show(hits, collection) {
    const before = new Map([...this.cards].map(([id, card]) => [id, card.getBoundingClientRect()]));
    const cards = new Map();
    this.hits = hits;
    this.collection = collection;
    for (const hit of hits) {
      const card = this.cards.get(hit.id) ?? this.card(hit);
      this.update(card, hit);
      cards.set(hit.id, card);
    }
    this.cards = cards;
    this.list.replaceChildren(...cards.values());
    this.rove();
    if (!calm()) glide(cards, before);
  }

  append(hits) {
    this.hits = [...this.hits, ...hits];
    for (const hit of hits) {
      if (this.cards.has(hit.id)) continue;
      const card = this.card(hit);
      this.update(card, hit);
      this.cards.set(hit.id, card);
      this.list.append(card);
    }
    this.rove();
  }

  waiting(count) {
    this.cards.clear();
    this.hits = [];
    this.list.replaceChildren(...Array.from({ length: count }, (_, i) => skeleton(i)));
  }

  focus(id) {
    this.cards.get(id)?.querySelector(".shot").focus();
  }

  card(hit) {
    const ratio = hit.width / hit.height;
    const image = make("img", { alt: "", draggable: "false", decoding: "async", loading: "lazy", src: picture(hit.id, CARD, null, this.collection) });
    const frame = make("span", { class: "frame" }, image);
    const shot = make("button", { type: "button", class: "shot" }, frame);
    const card = make("li", { class: "card" }, shot, make("div", { class: "caption" }));
    card.style.setProperty("--ratio", Math.min(2.4, Math.max(0.6, ratio)).toFixed(4));
    frame.style.setProperty("--natural", ratio.toFixed(4));
    frame.classList.toggle("tall", ratio < 0.6);
    image.addEventListener("load", () => frame.classList.add("loaded"));
    image.addEventListener("error", () => card.classList.add("gone"));
    card.drawer = new RegionDrawer(frame, { touch: false, drew: (box, mark) => this.drew(card.hit, box, mark, card.drawer) });
    shot.addEventListener("click", () => this.opened(card.hit));
    return card;
  }

  update(card, hit) {
    card.hit = hit;
    const frame = card.querySelector(".frame");
    const key = JSON.stringify([hit.box, hit.matches?.map((match) => [match.part, match.box])]);
    if (frame.dataset.box !== key) {
      frame.dataset.box = key;
      frame.querySelectorAll(".region, .inset").forEach((old) => old.remove());
      if (hit.box && !isWhole(hit.box)) frame.append(...region(hit, this.collection));
    }
    card.classList.toggle("doubtful", hit.relevance != null && hit.relevance < DOUBTFUL);
    card.querySelector(".shot").setAttribute("aria-label", described(hit));
    card.querySelector(".caption").replaceChildren(...caption(hit));
  }

  // One card is in the order of Tab; the arrows walk among the others.
  rove() {
    const shots = [...this.list.querySelectorAll(".shot")];
    const current = shots.find((shot) => shot === document.activeElement) ?? shots[0];
    for (const shot of shots) shot.tabIndex = shot === current ? 0 : -1;
  }

  walk(event) {
    const shot = event.target.closest(".shot");
    if (!shot || event.altKey || event.ctrlKey || event.metaKey) return;
    const shots = [...this.list.querySelectorAll(".shot")];
    const here = shots.indexOf(shot);
    const next = {
      ArrowRight: here + 1,
      ArrowLeft: here - 1,
      ArrowDown: below(shots, here, 1),
      ArrowUp: below(shots, here, -1),
      Home: 0,
      End: shots.length - 1,
    }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    if (!shots[next]) return;
    shot.tabIndex = -1;
    shots[next].tabIndex = 0;
    shots[next].focus();
  }
}

function region(hit, collection) {
  const outline = make("span", { class: "region" });
  place(outline, hit.box);
  const outlines = [...others(hit), outline];
  const [x0, y0, x1, y1] = hit.box;
  if ((x1 - x0) * (y1 - y0) > SMALL) return outlines;
  const side = (x0 + x1) / 2 < 0.5 ? "at-right" : "at-left";
  const end = (y0 + y1) / 2 < 0.5 ? "at-bottom" : "at-top";
  const enlarged = make("img", { alt: "", decoding: "async", loading: "lazy", draggable: "false", src: picture(hit.id, INSET, squared(hit), collection) });
  return [...outlines, make("span", { class: `inset ${side} ${end}` }, enlarged)];
}

// Where the other wanted parts of the query were found.
function others(hit) {
  return hit.matches
    .filter((match) => match.weight > 0 && match.part !== hit.part && !isWhole(match.box))
    .map((match) => {
      const outline = make("span", { class: "region other" });
      place(outline, match.box);
      return outline;
    });
}

// The region with a little around it, as a square in pixels, inside the image.
export function squared({ box: [x0, y0, x1, y1], width, height }) {
  const side = Math.min(Math.max((x1 - x0) * width, (y1 - y0) * height) * 1.08, width, height);
  const left = Math.min(Math.max(((x0 + x1) / 2) * width - side / 2, 0), width - side);
  const top = Math.min(Math.max(((y0 + y1) / 2) * height - side / 2, 0), height - side);
  return [left / width, top / height, Math.min(1, (left + side) / width), Math.min(1, (top + side) / height)];
}

function caption(hit) {
  const name = hit.path.split("/").pop();
  if (hit.rank === undefined) return [make("span", { class: "name", title: hit.path }, name)];
  const was = climbed(hit);
  return [
    make("span", { class: "rank" }, String(hit.rank)),
    make("span", { class: "name", title: hit.path }, name),
    hit.similar.length ? make("span", { class: "alike", title: `Near-duplicates behind it: ${hit.similar.join(", ")}` }, `+${hit.similar.length} alike`) : null,
    was ? make("span", { class: "was", title: "Where the image as a whole would stand" }, was) : null,
    make("span", { class: "score", title: "Score" }, hit.score.toFixed(2)),
  ].filter(Boolean);
}

// What detail buys: where the image would stand without it.
export function climbed(hit) {
  if (hit.compared !== true) return null;
  if (hit.whole_rank === null) return "↑ from beyond 200";
  return hit.whole_rank - hit.rank >= 3 ? `↑ from ${hit.whole_rank}` : null;
}

function described(hit) {
  if (hit.rank === undefined) return hit.path;
  const where = hit.box && !isWhole(hit.box) ? `best part ${placed(hit.box)}` : "found as a whole";
  const was = climbed(hit);
  return `${hit.rank}. ${hit.path}, score ${hit.score.toFixed(2)}, ${where}${was ? `, ${was.replace("↑", "up")} by the whole image` : ""}`;
}

export function placed([x0, y0, x1, y1]) {
  const words = (value, low, high) => (value < 1 / 3 ? low : value > 2 / 3 ? high : "");
  const rows = words((y0 + y1) / 2, "top", "bottom");
  const columns = words((x0 + x1) / 2, "left", "right");
  const where = [rows, columns].filter(Boolean).join(" ");
  return where ? `at the ${where}` : "in the middle";
}

function below(shots, here, direction) {
  const from = shots[here].getBoundingClientRect();
  const middle = from.left + from.width / 2;
  let best;
  let least = Infinity;
  for (let i = here + direction; shots[i]; i += direction) {
    const box = shots[i].getBoundingClientRect();
    const rows = Math.abs(box.top - from.top);
    if (rows < 20) continue;
    if (best !== undefined && Math.abs(box.top - shots[best].getBoundingClientRect().top) > 20) break;
    const away = Math.abs(box.left + box.width / 2 - middle);
    if (away < least) [best, least] = [i, away];
  }
  return best;
}

function glide(cards, before) {
  for (const [id, card] of cards) {
    const old = before.get(id);
    if (!old) {
      card.animate([{ opacity: 0, transform: "scale(.97)" }, { opacity: 1, transform: "none" }], { duration: 180, easing: "ease-out" });
      continue;
    }
    const now = card.getBoundingClientRect();
    const [dx, dy] = [old.left - now.left, old.top - now.top];
    if (Math.abs(dx) + Math.abs(dy) < 2 || Math.abs(dy) > 3000) continue;
    card.animate([{ transform: `translate(${dx}px, ${dy}px)` }, { transform: "none" }], { duration: 260, easing: "cubic-bezier(.2,.8,.2,1)" });
  }
}

function skeleton(i) {
  const ratios = [1.33, 1, 1.5, 0.8, 1.33, 1.6];
  const card = make("li", { class: "card skeleton", "aria-hidden": "true" }, make("div", { class: "shot" }));
  card.style.setProperty("--ratio", String(ratios[i % ratios.length]));
  return card;
}
