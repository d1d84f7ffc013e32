// The page reads without any of this: copying, filters, the details of a cell and of a pair come once the script runs.
document.documentElement.classList.add("js");
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const one = (selector, within = document) => within.querySelector(selector);

// -- copying

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // A file opened from disk may not be given the clipboard.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

const announce = one("#announce");
document.addEventListener("click", async (event) => {
  const button = event.target.closest(".copy");
  if (!button) return;
  await copyText(one("pre", button.parentElement).textContent);
  button.textContent = announce.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; announce.textContent = ""; }, 1500);
});

// -- filters, whose state is the URL's hash: #ops=mul&failing=1&q=grad&verdict=engine+wrong

const controls = {
  ops: one("#filter-operations"), failing: one("#filter-failing"),
  q: one("#find"), verdict: one("#find-verdict"), kind: one("#find-kind"), engine: one("#find-engine"),
};
const entries = Object.entries(controls).filter(([, control]) => control);
const read = (control) => (control.type === "checkbox" ? (control.checked ? "1" : "") : control.value.trim());
const rows = all(".matrix tbody tr").map((row) => ({ row, name: row.cells[0].textContent.trim(), failing: !!one(".f, .k, .u", row) }));
const findings = all("[data-verdict]").map((node) => ({ node, text: node.textContent.toLowerCase(), ...node.dataset }));

function apply() {
  const state = Object.fromEntries(entries.map(([name, control]) => [name, read(control)]));
  let count = 0;
  for (const { row, name, failing } of rows) {
    row.hidden = !(name.includes(state.ops.toLowerCase()) && (!state.failing || failing));
    count += row.hidden ? 0 : 1;
  }
  if (one("#filter-shown")) one("#filter-shown").textContent = `${count} of ${rows.length} shown`;
  if (controls.q) {
    const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    let met = 0;
    for (const f of findings) {
      const chosen = ["verdict", "kind", "engine"].every((facet) => !state[facet] || f[facet] === state[facet]);
      f.node.hidden = !(chosen && words.every((word) => f.text.includes(word)));
      met += f.node.hidden ? 0 : 1;
    }
    one("#find-shown").textContent = `${met} of ${findings.length} shown`;
  }
  return state;
}

function store() {
  const state = Object.entries(apply()).filter(([, value]) => value);
  const hash = new URLSearchParams(state).toString();
  history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
}

function restore() {
  const hash = location.hash.slice(1);
  if (hash.includes("=")) {
    const state = new URLSearchParams(hash);
    for (const [name, control] of entries) {
      if (control.type === "checkbox") control.checked = state.get(name) === "1";
      else control.value = state.get(name) ?? "";
    }
  }
  apply();
  const target = hash && !hash.includes("=") ? document.getElementById(decodeURIComponent(hash)) : null;
  if (target) for (const fold of all("details", target).slice(0, 1)) fold.open = true;
  if (target?.hidden) { // a link always leads to its finding, whatever the filters
    for (const name of ["q", "verdict", "kind", "engine"]) if (controls[name]) controls[name].value = "";
    apply();
  }
  target?.scrollIntoView();
}

for (const [, control] of entries) control.addEventListener(control.tagName === "SELECT" || control.type === "checkbox" ? "change" : "input", store);
addEventListener("hashchange", restore);
restore();

// -- cells of the matrix: a click, or Enter after the arrow keys, opens what was run there

const panel = one("#cell");
function open(cell) {
  const table = cell.closest("table"), row = cell.parentElement, at = cell.cellIndex;
  const engine = table.dataset.engine, operation = row.cells[0].textContent.trim();
  const feature = table.tHead.rows[0].cells[at].textContent.trim();
  const [programs, wrong] = (row.dataset.n.split(",")[at - 1] || "0").split("/").map(Number);
  const mine = findings.filter((f) => f.engine === engine && f.ops.split(" ").includes(operation)
    && (feature === "all" || f.features.split(",").includes(feature)));
  const head = document.createElement("h3");
  head.textContent = `${operation} × ${feature}`;
  const said = document.createElement("p");
  const ran = programs === 1 ? "1 program" : `${programs.toLocaleString("en")} programs`;
  said.textContent = !programs ? "Nothing was run here." : wrong
    ? `${ran}, of which ${wrong.toLocaleString("en")} differed from torch.` : `${ran}; none differed from torch.`;
  const list = document.createElement("ul");
  for (const f of mine.slice(0, 20)) {
    const link = document.createElement("a");
    link.href = `#${f.node.id}`;
    link.textContent = one("h3, td", f.node).textContent;
    const item = document.createElement("li");
    item.append(link);
    list.append(item);
  }
  const close = document.createElement("button");
  close.type = "button";
  close.textContent = "Close";
  close.addEventListener("click", () => { panel.hidden = true; cell.focus(); });
  panel.replaceChildren(head, said, ...(mine.length ? [list] : []), close);
  panel.hidden = false;
}

for (const table of all(".matrix[data-engine]")) {
  const body = table.tBodies[0];
  if (!body.rows.length) continue;
  let current = body.rows[0].cells[1];
  current.tabIndex = 0;
  const move = (cell) => {
    if (!cell || cell.tagName !== "TD") return;
    current.removeAttribute("tabindex");
    current = cell;
    current.tabIndex = 0;
    current.focus();
  };
  const beside = (row, way) => { do row = way > 0 ? row?.nextElementSibling : row?.previousElementSibling; while (row?.hidden); return row; };
  body.addEventListener("click", (event) => {
    const cell = event.target.closest("td");
    if (cell && !event.target.closest("a")) { move(cell); open(cell); }
  });
  body.addEventListener("keydown", (event) => {
    const cell = event.target.closest("td");
    if (!cell || cell !== event.target) return;
    const row = cell.parentElement;
    const to = { ArrowRight: cell.nextElementSibling, ArrowLeft: cell.previousElementSibling, Home: row.cells[1], End: row.cells[row.cells.length - 1],
      ArrowDown: beside(row, 1)?.cells[cell.cellIndex], ArrowUp: beside(row, -1)?.cells[cell.cellIndex] };
    if (event.key in to) { event.preventDefault(); move(to[event.key]); }
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(cell); }
    if (event.key === "Escape") panel.hidden = true;
  });
}

// -- the map of pairs: which pair is under the pointer

for (const picture of all(".pairs img")) {
  const names = picture.dataset.names.split(" "), at = one(".at", picture.parentElement);
  picture.addEventListener("mousemove", (event) => {
    const box = picture.getBoundingClientRect();
    const index = (part) => Math.min(names.length - 1, Math.max(0, Math.floor(part * names.length)));
    at.textContent = `${names[index((event.clientY - box.top) / box.height)]} → ${names[index((event.clientX - box.left) / box.width)]}`;
  });
  picture.addEventListener("mouseleave", () => { at.textContent = ""; });
}

// -- paper has nothing to unfold

addEventListener("beforeprint", () => all("article > details").forEach((fold) => { fold.open = true; }));
