// The filters: fields that narrow what can be found, and how many of them are in use.

const TEXTS = ["taken_from", "taken_to", "camera"];

export class Filters {
  constructor(form, button, label, changed) {
    this.form = form;
    this.label = label;
    button.addEventListener("click", () => {
      form.hidden = !form.hidden;
      button.setAttribute("aria-expanded", String(!form.hidden));
      if (!form.hidden) form.querySelector("select, input").focus();
    });
    form.addEventListener("input", () => changed());
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(changed));
  }

  read(query) {
    const { folder, path, shape, min_width, group } = this.form.elements;
    query.filters = {};
    if (folder.value) query.filters.folder = folder.value;
    if (path.value.trim()) query.filters.path = path.value.trim();
    if (shape.value) query.filters.shape = shape.value;
    if (min_width.value) query.filters.min_width = Number(min_width.value);
    for (const name of TEXTS) {
      const value = this.form.elements[name].value.trim();
      if (value) query.filters[name] = value;
    }
    query.group = group.checked;
    this.count(query);
  }

  write(query) {
    const { folder, path, shape, min_width, group } = this.form.elements;
    const wanted = query.filters.folder ?? "";
    if (wanted && ![...folder.options].some((option) => option.value === wanted)) folder.append(new Option(wanted, wanted));
    folder.value = wanted;
    path.value = query.filters.path ?? "";
    shape.value = query.filters.shape ?? "";
    min_width.value = query.filters.min_width ?? "";
    for (const name of TEXTS) this.form.elements[name].value = query.filters[name] ?? "";
    group.checked = query.group;
    this.count(query);
  }

  folders(list) {
    const { folder } = this.form.elements;
    const chosen = folder.value;
    const options = [...list].sort((a, b) => a.path.localeCompare(b.path));
    folder.replaceChildren(new Option("all folders", ""), ...options.map(({ path, images }) => new Option(`${path} (${images.toLocaleString()})`, path)));
    if (chosen && !options.some(({ path }) => path === chosen)) folder.append(new Option(chosen, chosen));
    folder.value = chosen;
    folder.closest("label").hidden = !options.length && !chosen;
  }

  count(query) {
    const used = Object.keys(query.filters).length + (query.group ? 1 : 0);
    this.label.textContent = used ? `Filter · ${used}` : "Filter";
    this.label.parentElement.classList.toggle("on", used > 0);
  }
}
