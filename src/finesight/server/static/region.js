// Draws a box on a picture, with mouse, finger or keys, and says which one was drawn.

import { make, place } from "./elements.js";

const SMALLEST = 0.015; // of width or height: less is a click
const STEP = 0.02;

// frame: the element that has exactly the picture's place; options: drag says which pointers may
// draw, picked gets the box and the marked element.
export class RegionDrawer {
  constructor(frame, { touch, drew, cancelled, chosen }) {
    this.frame = frame;
    this.drew = drew;
    this.cancelled = cancelled ?? (() => {});
    this.chosen = chosen ?? (() => {});
    this.touch = touch;
    this.mark = null;
    this.wasDrag = false;
    frame.addEventListener("pointerdown", (event) => this.start(event));
    // A drag ends in a click, which would open the picture.
    frame.addEventListener("click", (event) => this.swallow(event), true);
  }

  start(event) {
    if (event.button !== 0 || (event.pointerType === "touch" && !this.touch)) return;
    if (event.target.closest(".mark")) return;
    this.wasDrag = false;
    const origin = this.at(event);
    const move = (next) => {
      const here = this.at(next);
      const box = between(origin, here);
      if (!this.wasDrag && Math.max(box[2] - box[0], box[3] - box[1]) < SMALLEST) return;
      if (!this.wasDrag) this.frame.setPointerCapture(event.pointerId);
      this.wasDrag = true;
      this.show(box);
      next.preventDefault();
    };
    const end = () => {
      this.frame.removeEventListener("pointermove", move);
      this.frame.removeEventListener("pointerup", end);
      this.frame.removeEventListener("pointercancel", end);
      if (this.wasDrag) this.finish();
    };
    this.frame.addEventListener("pointermove", move);
    this.frame.addEventListener("pointerup", end);
    this.frame.addEventListener("pointercancel", end);
  }

  swallow(event) {
    if (!this.wasDrag) return;
    this.wasDrag = false;
    event.stopPropagation();
    event.preventDefault();
  }

  at(event) {
    const { left, top, width, height } = this.frame.getBoundingClientRect();
    return [clamp((event.clientX - left) / width), clamp((event.clientY - top) / height)];
  }

  show(box) {
    this.box = box;
    if (!this.mark) {
      this.mark = make("div", { class: "mark", tabindex: "0", role: "group" });
      this.mark.addEventListener("keydown", (event) => this.key(event));
      this.frame.append(this.mark);
    }
    place(this.mark, box);
    const percent = box.map((edge) => Math.round(edge * 100));
    this.mark.setAttribute("aria-label", `Marked part: from ${percent[0]}, ${percent[1]} to ${percent[2]}, ${percent[3]} percent. Arrows move it, Shift and arrows size it, Enter searches.`);
  }

  finish() {
    const [x0, y0, x1, y1] = this.box;
    if (x1 - x0 < SMALLEST / 2 || y1 - y0 < SMALLEST / 2) return this.clear();
    this.drew(this.box, this.mark);
  }

  // Marks a box without a pointer, and takes the keys.
  begin(box) {
    this.show(box);
    this.mark.focus();
    this.drew(this.box, this.mark);
  }

  key(event) {
    const steps = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
    if (event.key in steps) {
      this.show(shifted(this.box, steps[event.key], event.shiftKey));
      this.drew(this.box, this.mark);
    } else if (event.key === "Enter") this.chosen(this.box);
    else if (event.key === "Escape") this.cancelled();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  clear() {
    this.mark?.remove();
    this.mark = null;
    this.box = null;
  }
}

function shifted([x0, y0, x1, y1], [dx, dy], resize) {
  if (resize) return [x0, y0, Math.max(x0 + STEP, clamp(x1 + dx)), Math.max(y0 + STEP, clamp(y1 + dy))].map(clamp);
  const x = Math.min(Math.max(dx, -x0), 1 - x1);
  const y = Math.min(Math.max(dy, -y0), 1 - y1);
  return [x0 + x, y0 + y, x1 + x, y1 + y];
}

const between = (a, b) => [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[0], b[0]), Math.max(a[1], b[1])];

const clamp = (value) => Math.min(1, Math.max(0, value));
