// The page: what is typed, drawn and dropped becomes a query, its answer becomes the grid.

import * as api from "./api.js";
import { drawChips } from "./chips.js";
import { make } from "./elements.js";
import { Filters } from "./filters.js";
import { asksForItem, emptyQuery, fromAddress, isEmpty, request, toAddress } from "./query.js";
import { climbed, Grid } from "./results.js";
import { Indexing } from "./indexing.js";
import { asPart, images, watchDrops } from "./uploads.js";
import { Viewer } from "./viewer.js";

const PAGE = 24;
const BROWSED = 60;
const TYPING = 130; // milliseconds without a key before an answer is asked for
const SLIDING = 60;

const at = (id) => document.getElementById(id);
let query = fromAddress(location.search);
let running = null; // the request that is on its way
let timer = null;
let more = false;
let offset = 0;
let shownOnce = false;

const grid = new Grid(at("results"), { opened: (hit) => viewer.open(hit, query.collection), drew: regionDrawn });
const viewer = new Viewer(at("viewer"), {
  neighbours: (hit, by) => {
    const index = grid.hits.findIndex((other) => other.id === hit.id);
    return { index, count: grid.hits.length, hit: grid.hits[index + by] };
  },
  drew: regionDrawn,
  like: (hit, weight) => {
    viewer.close();
    addPart({ image: hit.id, box: null, name: fileName(hit), weight });
  },
  closed: (hit) => {
    hideBubble();
    grid.focus(hit.id);
  },
});
const filters = new Filters(at("filters"), at("filter-button"), at("filter-label"), () => {
  filters.read(query);
  changed(TYPING);
});
const indexing = new Indexing(at("indexing"), at("progress"), at("indexing-text"), {
  collection: () => query.collection,
  folders: (list) => filters.folders(list),
  grew: () => refresh({ quiet: true }),
  told: () => draw(),
  locked: askForToken,
});

// Asks for what the query says now; delay: milliseconds to wait for the next change.
function changed(delay = 0, { push = false } = {}) {
  draw();
  history[push ? "pushState" : "replaceState"](null, "", toAddress(query));
  clearTimeout(timer);
  timer = setTimeout(refresh, delay);
}

function draw() {
  drawChips(at("parts"), query, () => changed(0, { push: true }), indexing.items);
  at("detail").disabled = asksForItem(query); // such a search compares parts alone
  if (at("text").value !== query.text) at("text").value = query.text;
  const asked = Boolean(query.text || query.parts.length);
  at("clear").hidden = !asked;
  at("text").placeholder = query.parts.length ? "and …" : "red mug";
  const percent = Math.round(query.detail * 100);
  at("detail").value = String(percent);
  at("detail").style.setProperty("--at", `${percent}%`);
  at("detail").setAttribute("aria-valuetext", percent === 0 ? "whole image" : percent === 100 ? "small details" : `${percent} percent detail`);
  document.title = query.text ? `${query.text} · finesight` : "finesight";
  document.body.classList.toggle("asked", asked);
}

async function refresh({ quiet = false } = {}) {
  running?.abort();
  const mine = (running = new AbortController());
  const slow = setTimeout(() => (at("spinner").hidden = false), 150);
  if (!shownOnce && !quiet) grid.waiting(12);
  try {
    const found = await fetchPage(0, mine.signal);
    grid.show(found.hits, query.collection);
    ({ more, offset } = found);
    say(null);
    summarise(found);
    introduce(found);
    if (!quiet) at("filters").hidden || at("filters").scrollIntoView({ block: "nearest" });
  } catch (error) {
    if (error.name === "AbortError") return;
    failed(error);
  } finally {
    clearTimeout(slow);
    if (running === mine) at("spinner").hidden = true;
    at("more").hidden = !more;
  }
  shownOnce = true;
}

async function fetchPage(from, signal) {
  if (isEmpty(query)) {
    const fields = { collection: query.collection, k: BROWSED, offset: from, ...query.filters };
    const { images: found, more: further } = await api.list(fields, signal);
    return { hits: found, more: further, offset: from + found.length, browsing: true };
  }
  const { body, files } = request(query, PAGE, from);
  const answer = await api.search(body, files, signal);
  const compared = query.detail > 0;
  const hits = answer.hits.map((hit) => ({ ...hit, compared }));
  return { ...answer, hits, offset: from + hits.length };
}

async function showMore() {
  if (!more || at("more").disabled) return;
  at("more").disabled = true;
  try {
    const found = await fetchPage(offset, running?.signal);
    grid.append(found.hits);
    ({ more, offset } = found);
  } catch (error) {
    if (error.name !== "AbortError") failed(error);
  } finally {
    at("more").disabled = false;
    at("more").hidden = !more;
  }
}

function summarise(found) {
  const summary = at("summary");
  if (found.browsing) {
    summary.replaceChildren();
    return;
  }
  const brought = found.hits.filter((hit) => climbed(hit) && (hit.whole_rank === null || hit.whole_rank > PAGE)).length;
  const parts = [];
  if (brought && query.detail > 0) parts.push(make("strong", {}, `${brought} of ${found.hits.length} found only by detail`), " · ");
  parts.push(`${found.hits.length}${found.more ? "+" : ""} of ${found.images.toLocaleString()} · ${Math.max(1, Math.round(found.milliseconds))} ms`);
  summary.replaceChildren(...parts);
}

// What stands above or instead of the grid: a greeting, or why there is nothing.
function introduce(found) {
  const intro = at("intro");
  const total = indexing.images;
  intro.hidden = false;
  const filtered = Object.keys(query.filters).length > 0;
  if (!found.hits.length && total === 0) intro.replaceChildren(...nothingIndexed());
  else if (!found.hits.length && filtered) intro.replaceChildren(make("h2", {}, "No image passes these filters"), make("p", {}, "Take one of them away. ", make("button", { type: "button", class: "pill", onclick: () => at("filters").reset() }, "Reset the filters")));
  else if (found.nothing) intro.replaceChildren(make("h2", {}, "Nothing in this collection seems to match"), make("p", {}, found.hits.length ? "These come nearest, and are probably not what you mean." : "No image is likely enough to be what you mean."));
  else if (found.browsing && !filtered && found.hits.length) intro.replaceChildren(make("h2", {}, total ? `${total.toLocaleString()} images` : "Your images"), make("p", {}, "Say what to find, even if it is tiny. Or drop a picture here."));
  else intro.hidden = true;
}

function nothingIndexed() {
  const folder = indexing.name ?? "pictures";
  return [
    make("h2", {}, indexing.isRunning ? "Looking at your images …" : "Nothing is here yet"),
    make("p", {}, indexing.isRunning ? "The first ones appear here as soon as they are done." : "Index a folder; this page shows how far it is, and then the images."),
    indexing.isRunning ? "" : make("pre", {}, `finesight index ~/Pictures --collection ${folder}`),
  ];
}

function failed(error) {
  if (error.status === 401) return askForToken();
  if (!grid.hits.length) grid.show([], query.collection);
  say(error.message, () => refresh());
  if (error.status === 404 && indexing.images === 0) {
    say(null);
    introduce({ hits: [], browsing: true });
  }
}

function say(text, again) {
  const message = at("message");
  message.hidden = !text;
  if (!text) return message.replaceChildren();
  message.replaceChildren(make("span", {}, text), make("button", { type: "button", class: "pill", onclick: again }, "Try again"));
}

function addPart(part) {
  if (query.parts.length >= 6) query.parts.shift();
  query.item = false;
  query.parts.push(part);
  changed(0, { push: true });
  scrollTo({ top: 0, behavior: "instant" });
}

async function addPictures(files) {
  for (const file of files.slice(0, 4)) addPart(await asPart(file));
}

const fileName = (hit) => hit.path.split("/").pop();

// A box was drawn on a picture: offer what to do with it beside it. Without a mark: do it.
let pending = null;

function regionDrawn(hit, box, mark, drawer) {
  if (pending && pending.drawer !== drawer) pending.drawer.clear();
  if (!box) {
    hideBubble();
    return;
  }
  pending = { hit, box, drawer };
  if (!mark) {
    takeRegion(1);
    return;
  }
  const bubble = at("bubble");
  (mark.closest("dialog") ?? document.body).append(bubble); // a dialog covers all that is outside
  bubble.hidden = false;
  at("very").hidden = !indexing.items;
  const spot = mark.getBoundingClientRect();
  const { width, height } = bubble.getBoundingClientRect();
  const top = spot.bottom + height + 12 < innerHeight ? spot.bottom + 8 : Math.max(8, spot.top - height - 8);
  bubble.style.left = `${Math.min(Math.max(8, (spot.left + spot.right - width) / 2), innerWidth - width - 8)}px`;
  bubble.style.top = `${top}px`;
}

function takeRegion(weight, { item = false } = {}) {
  const { hit, box } = pending;
  hideBubble();
  viewer.close();
  const rounded = box.map((edge) => Number(edge.toFixed(4)));
  const part = { image: hit.id, box: rounded, name: fileName(hit), weight };
  if (!item) return addPart(part);
  Object.assign(query, { text: "", parts: [part], item: true });
  changed(0, { push: true });
  scrollTo({ top: 0, behavior: "instant" });
}

function hideBubble() {
  at("bubble").hidden = true;
  pending?.drawer.clear();
  pending = null;
}

function askForToken() {
  if (!at("door").open) at("door").showModal();
}

async function enter(token) {
  await api.enter(token);
  history.replaceState(null, "", toAddress(query));
  await begin();
}

function reset() {
  const { collection, detail } = query;
  query = { ...emptyQuery(), collection, detail };
  filters.write(query);
  changed(0, { push: true });
}

function listen() {
  at("text").addEventListener("input", () => {
    query.text = at("text").value;
    changed(TYPING);
  });
  at("form").addEventListener("submit", (event) => {
    event.preventDefault();
    changed(0, { push: true });
  });
  at("text").addEventListener("keydown", (event) => {
    if (event.key === "Backspace" && !at("text").value && query.parts.length) {
      query.parts.pop();
      changed(0, { push: true });
    } else if (event.key === "ArrowDown") {
      event.preventDefault();
      at("results").querySelector(".shot")?.focus();
    } else if (event.key === "Escape" && (query.text || query.parts.length)) {
      event.preventDefault();
      reset();
    }
  });
  at("clear").addEventListener("click", () => {
    reset();
    at("text").focus();
  });
  at("upload").addEventListener("click", () => at("file").click());
  at("file").addEventListener("change", () => {
    addPictures([...at("file").files]);
    at("file").value = "";
  });
  at("detail").addEventListener("input", () => {
    query.detail = Number(at("detail").value) / 100;
    changed(SLIDING);
  });
  at("without-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = at("without").value.trim();
    at("without").value = "";
    if (text) addPart({ text, weight: -1 });
  });
  at("collection").addEventListener("change", () => {
    query = { ...emptyQuery(), text: query.text, detail: query.detail, collection: at("collection").value };
    filters.write(query);
    indexing.look();
    changed(0, { push: true });
  });
  at("more").addEventListener("click", showMore);
  new IntersectionObserver(([entry]) => entry.isIntersecting && more && showMore(), { rootMargin: "600px" }).observe(at("end"));
  at("bubble").addEventListener("click", (event) => {
    const sign = event.target.closest("[data-sign]")?.dataset.sign;
    if (sign) takeRegion(Number(sign), { item: event.target.id === "very" });
  });
  addEventListener("pointerdown", (event) => {
    if (pending && !event.target.closest("#bubble, .mark")) hideBubble();
  });
  at("help").addEventListener("click", () => at("help-sheet").showModal());
  at("door-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await enter(at("token").value);
      at("door").close();
    } catch (error) {
      at("door-wrong").textContent = error.message;
    }
  });
  addEventListener("popstate", () => {
    const pictures = query.parts.filter((part) => part.blob);
    query = fromAddress(location.search);
    if (!location.search) pictures.length = 0;
    query.parts.push(...pictures);
    filters.write(query);
    draw();
    refresh();
  });
  addEventListener("keydown", globalKey);
  watchDrops(at("drop"), addPictures);
}

function globalKey(event) {
  if (event.key === "Escape" && pending) return hideBubble();
  if (event.target.closest("input, select, textarea, dialog") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") {
    event.preventDefault();
    at("text").focus();
    at("text").select();
  } else if (event.key === "?") at("help-sheet").showModal();
}

async function nameCollections() {
  const list = await api.collections();
  const select = at("collection");
  select.replaceChildren(...list.map(({ name, images: count }) => new Option(`${name} (${count.toLocaleString()})`, name)));
  select.value = query.collection ?? list[0].name;
  select.hidden = list.length < 2;
}

async function begin() {
  try {
    await Promise.all([indexing.look(), nameCollections()]);
  } catch (error) {
    return failed(error);
  }
  await refresh();
}

async function open() {
  listen();
  filters.write(query);
  draw();
  grid.waiting(12);
  if (matchMedia("(hover: hover)").matches) at("text").focus();
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token) return begin();
  try {
    await enter(token);
  } catch (error) {
    failed(error);
  }
}

open();
