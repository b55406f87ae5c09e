// Asks the server; an answer that is no success becomes a Problem with its sentence.

export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "The server does not answer. Is it still running?");
  }
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  let detail = "The server could not answer.";
  try {
    const problem = await answer.json();
    detail = problem.detail || problem.title || detail;
  } catch {
    // not a problem document: a proxy in between, perhaps
  }
  throw new Problem(answer.status, detail);
}

// body: the JSON of POST /search; files: pictures that its parts name by number.
export function search(body, files, signal) {
  if (!files.length) {
    const headers = { "Content-Type": "application/json" };
    return ask("search", { method: "POST", headers, body: JSON.stringify(body), signal });
  }
  const form = new FormData();
  for (const file of files) form.append("image", file, "picture");
  form.append("query", JSON.stringify(body));
  return ask("search", { method: "POST", body: form, signal });
}

export function list(fields, signal) {
  return ask(`images?${parameters(fields)}`, { signal });
}

export const status = (collection) => ask(`status?${parameters({ collection })}`);

export const collections = () => ask("collections");

export function enter(token) {
  const headers = { "Content-Type": "application/json" };
  return ask("session", { method: "POST", headers, body: JSON.stringify({ token }) });
}

// The address of a picture: the longer side in pixels, and the box to cut out.
export function picture(id, size, box, collection) {
  const cut = box && box.map((edge) => Number(edge.toFixed(5))).join(",");
  return `images/${id}?${parameters({ size, box: cut, collection })}`;
}

function parameters(fields) {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return new URLSearchParams(given).toString();
}
