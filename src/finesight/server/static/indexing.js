// Watches the collection: how far indexing has come, and when there are more images to show.

import * as api from "./api.js";

const SOON = 1500; // milliseconds between looks while indexing goes on
const LATER = 10000;
const FIRST = 3; // looks that follow soon: the model is still being loaded

export class Indexing {
  constructor(box, bar, text, { collection, folders, grew, told, locked }) {
    Object.assign(this, { box, bar, text, collection, folders, grew, told, locked });
    this.images = null;
    this.version = null;
    this.isRunning = false;
    this.items = false;
    this.looks = 0;
    document.addEventListener("visibilitychange", () => !document.hidden && this.version !== null && this.look().catch(() => {}));
  }

  async look() {
    clearTimeout(this.timer);
    try {
      await this.read();
    } catch (error) {
      if (error.status === 401) this.locked();
      if (this.version === null) throw error;
    } finally {
      if (!document.hidden) this.timer = setTimeout(() => this.look().catch(() => {}), this.isRunning || this.looks < FIRST ? SOON : LATER);
    }
  }

  async read() {
    const state = await api.status(this.collection());
    this.looks += 1;
    const changed = this.version !== null && this.name === state.name && this.version !== state.version;
    this.name = state.name;
    this.images = state.images;
    if (this.items !== state.items) {
      this.items = state.items;
      this.told();
    }
    this.version = state.version;
    this.isRunning = state.indexing !== null;
    this.box.hidden = !this.isRunning;
    if (this.isRunning) {
      const { done, total } = state.indexing;
      this.bar.value = total ? done / total : 0;
      this.text.textContent = `Indexing: ${done.toLocaleString()} of ${total.toLocaleString()} images`;
    }
    this.folders(state.folders);
    if (changed) this.grew();
  }
}
