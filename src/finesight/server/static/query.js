// What is being asked: the text, further parts, filters and the slider; as a request and as an address.

const FILTERS = ["folder", "path", "shape", "min_width", "taken_from", "taken_to", "camera"];
const MAX_PARTS = 8;

export function emptyQuery() {
  return { text: "", parts: [], item: false, detail: 1, filters: {}, group: false, collection: undefined };
}

// "red mug - table - dark chair" is a mug without table and chair; hyphens inside words stay.
export function readText(typed) {
  const [first, ...rest] = ` ${typed}`.split(/\s-\s*(?=\S)/);
  const parts = rest.map((text) => ({ text: text.trim(), weight: -1 })).filter((part) => part.text);
  return { text: first.trim(), parts };
}

export function isEmpty(query) {
  return !requestParts(query).some((part) => part.weight > 0);
}

// Whether a query shows one thing, so that this very thing can be looked for instead of its kind.
export function showsOneThing(query) {
  const parts = requestParts(query);
  return parts.length === 1 && !parts[0].text && parts[0].weight > 0;
}

export function asksForItem(query) {
  return query.item && showsOneThing(query);
}

// Returns the JSON of POST /search and the files that it names.
export function request(query, k, offset) {
  const files = [];
  const parts = requestParts(query).map((part) => {
    if (!part.blob) return part;
    files.push(part.blob);
    return { upload: files.length - 1, weight: part.weight };
  });
  const item = asksForItem(query);
  const body = {
    item: item || undefined,
    collection: query.collection,
    parts,
    k,
    offset,
    detail: item ? 1 : query.detail,
    filters: query.filters,
    group: query.group,
    compare: true,
  };
  return { body, files };
}

function requestParts(query) {
  const typed = readText(query.text);
  const parts = typed.text ? [{ text: typed.text, weight: 1 }] : [];
  parts.push(...typed.parts);
  for (const part of query.parts) {
    if (part.text) parts.push({ text: part.text, weight: part.weight });
    else if (part.blob) parts.push({ blob: part.blob, weight: part.weight });
    else parts.push({ image: part.image, box: part.box ?? undefined, weight: part.weight });
  }
  return parts.slice(0, MAX_PARTS);
}

// Everything but dropped pictures fits into the address, so that a search can be sent to others.
export function toAddress(query) {
  const fields = new URLSearchParams();
  if (query.text) fields.set("q", query.text);
  for (const part of query.parts) {
    if (part.text) fields.append("part", `${part.weight};text;${part.text}`);
    else if (part.image) fields.append("part", `${part.weight};image;${part.image};${(part.box ?? []).join(",")};${part.name}`);
  }
  if (query.item) fields.set("item", "1");
  if (query.detail !== 1) fields.set("detail", String(query.detail));
  for (const name of FILTERS) if (query.filters[name]) fields.set(name, query.filters[name]);
  if (query.group) fields.set("group", "1");
  if (query.collection) fields.set("collection", query.collection);
  const text = fields.toString();
  return text ? `?${text}` : location.pathname;
}

export function fromAddress(search) {
  const fields = new URLSearchParams(search);
  const query = emptyQuery();
  query.text = (fields.get("q") ?? "").slice(0, 1000);
  query.parts = fields.getAll("part").map(readPart).filter(Boolean).slice(0, MAX_PARTS);
  query.item = fields.get("item") === "1";
  const detail = Number(fields.get("detail") ?? 1);
  query.detail = detail >= 0 && detail <= 1 ? detail : 1;
  for (const name of FILTERS) {
    const value = fields.get(name);
    if (value) query.filters[name] = name === "min_width" ? Number(value) || undefined : value;
  }
  query.group = fields.get("group") === "1";
  query.collection = fields.get("collection") ?? undefined;
  return query;
}

function readPart(written) {
  const [weight, kind, ...rest] = written.split(";");
  const known = [-2, -1, -0.5, 0.5, 1, 2].includes(Number(weight));
  if (!known || !rest[0]) return null;
  if (kind === "text") return { text: rest.join(";"), weight: Number(weight) };
  if (kind !== "image" || !/^[0-9a-f]{16}$/.test(rest[0])) return null;
  const box = (rest[1] ?? "").split(",").map(Number);
  const isBox = box.length === 4 && box.every((edge) => edge >= 0 && edge <= 1);
  return { image: rest[0], box: isBox ? box : null, name: rest.slice(2).join(";"), weight: Number(weight) };
}
