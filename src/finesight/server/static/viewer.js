// One picture, large: where it was found, what it answers, and a part of it as the next question.

import { picture } from "./api.js";
import { icon, isWhole, make, place } from "./elements.js";
import { RegionDrawer } from "./region.js";
import { placed } from "./results.js";

export class Viewer {
  constructor(dialog, { neighbours, drew, like, closed }) {
    this.dialog = dialog;
    this.neighbours = neighbours;
    this.drew = drew;
    this.like = like;
    this.stage = dialog.querySelector("#stage");
    dialog.addEventListener("click", (event) => this.act(event));
    dialog.addEventListener("keydown", (event) => this.key(event));
    dialog.addEventListener("close", () => closed(this.hit));
  }

  open(hit, collection) {
    this.hit = hit;
    this.collection = collection;
    const frame = make("div", { class: "frame" }, make("img", { src: picture(hit.id, 1600, null, collection), alt: hit.path, draggable: "false" }));
    frame.style.setProperty("--natural", (hit.width / hit.height).toFixed(4));
    if (hit.box && !isWhole(hit.box)) {
      const outline = make("span", { class: "region" });
      place(outline, hit.box);
      frame.append(outline);
    }
    this.drawer = new RegionDrawer(frame, {
      touch: true,
      drew: (box, mark) => this.drew(this.hit, box, mark, this.drawer),
      chosen: (box) => this.drew(this.hit, box, null, this.drawer),
      cancelled: () => this.drew(this.hit, null, null, this.drawer),
    });
    this.stage.replaceChildren(frame);
    this.dialog.querySelector("#viewer-name").textContent = hit.path.split("/").pop();
    this.dialog.querySelector("#facts").replaceChildren(...facts(hit));
    const { index, count } = this.neighbours(hit, 0);
    this.dialog.querySelector("#place").textContent = `${index + 1} of ${count}`;
    if (!this.dialog.open) this.dialog.showModal();
  }

  close() {
    this.dialog.close();
  }

  step(by) {
    const { hit } = this.neighbours(this.hit, by);
    if (hit) this.open(hit, this.collection);
  }

  begin() {
    const box = this.hit.box && !isWhole(this.hit.box) ? this.hit.box : [0.35, 0.35, 0.65, 0.65];
    this.drawer.begin([...box]);
  }

  act(event) {
    if (event.target === this.dialog) return this.close(); // beside the picture
    const what = event.target.closest("[data-do]")?.dataset.do;
    if (what === "close") this.close();
    else if (what === "next") this.step(1);
    else if (what === "previous") this.step(-1);
    else if (what === "mark") this.begin();
    else if (what === "like" || what === "unlike") this.like(this.hit, what === "like" ? 1 : -1);
  }

  key(event) {
    if (event.target.closest("input, select, .mark")) return;
    if (event.key === "ArrowRight") this.step(1);
    else if (event.key === "ArrowLeft") this.step(-1);
    else if (event.key.toLowerCase() === "r" && !event.ctrlKey && !event.metaKey) this.begin();
    else return;
    event.preventDefault();
  }
}

function facts(hit) {
  const rows = [];
  if (hit.rank !== undefined) {
    rows.push(["Rank", String(hit.rank)]);
    if (hit.compared) rows.push(["By the whole image", hit.whole_rank === null ? "beyond 200" : String(hit.whole_rank)]);
    rows.push(["Found by", found(hit)]);
    if (hit.relevance != null) rows.push(["Relevance", `${Math.round(hit.relevance * 100)} %`]);
    for (const match of hit.matches) rows.push([`${match.weight < 0 ? "− " : ""}${match.part}`, bar(match)]);
  }
  rows.push(["Size", `${hit.width} × ${hit.height} px`], ["Path", copyable(hit.path)]);
  return rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
}

function found(hit) {
  if (!hit.box || isWhole(hit.box)) return "the image as a whole";
  const [x0, y0, x1, y1] = hit.box;
  const share = (x1 - x0) * (y1 - y0) * 100;
  return `a part ${placed(hit.box)}, ${share < 1 ? share.toFixed(1) : Math.round(share)} % of the image`;
}

function bar(match) {
  const meter = make("span", { class: match.weight < 0 ? "meter away" : "meter" }, make("span", {}));
  meter.firstChild.style.width = `${Math.max(0, Math.min(1, match.score)) * 100}%`;
  return make("span", { class: "match" }, meter, match.score.toFixed(2));
}

function copyable(path) {
  const button = make("button", { type: "button", class: "quiet copy", "aria-label": "Copy the path", title: "Copy" }, icon("copy"));
  button.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(path);
    button.classList.add("done");
  });
  return make("span", { class: "path" }, path, button);
}
