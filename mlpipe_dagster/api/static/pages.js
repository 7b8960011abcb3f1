// What the pages do where scripts run: upload with preview and progress, and lists that follow what happens.
// Without it every form and link does the same. It holds no words of errors: the server's answers have them.
"use strict";

const PREVIEW_BYTES = 256 * 1024;
const PREVIEW_LINES = 20;
const POLL_SECONDS = 5;
const DELIMITERS = [",", ";", "\t", "|"];

/** Rows of cells; a quoted cell may hold delimiters, line ends and doubled quotes. Stops after `most` rows. */
function parseRows(text, delimiter, most) {
  const rows = [];
  let row = [], cell = "", quoted = false;
  const endRow = () => { row.push(cell); rows.push(row); row = []; cell = ""; };
  for (let at = 0; at < text.length && rows.length < most; at++) {
    const letter = text[at];
    if (quoted) {
      if (letter !== '"') cell += letter;
      else if (text[at + 1] === '"') { cell += '"'; at++; }
      else quoted = false;
    }
    else if (letter === '"' && cell === "") quoted = true;
    else if (letter === delimiter) { row.push(cell); cell = ""; }
    else if (letter === "\n") endRow();
    else if (letter !== "\r") cell += letter;
  }
  if (rows.length < most && (cell || row.length)) endRow();
  return rows;
}

/** The delimiter that makes most cells of the first line. */
function delimiterOf(text) {
  const cells = (delimiter) => (parseRows(text, delimiter, 1)[0] ?? []).length;
  return DELIMITERS.reduce((best, each) => (cells(each) > cells(best) ? each : best));
}

function tableOf([names, ...rows]) {
  const table = document.createElement("table");
  const line = (parent, cells, kind) => {
    const made = parent.insertRow();
    for (const text of cells) made.append(Object.assign(document.createElement(kind), { textContent: text }));
  };
  line(table.createTHead(), names, "th");
  for (const cell of table.tHead.rows[0].cells) cell.scope = "col";
  const body = table.createTBody();
  for (const cells of rows) line(body, cells, "td");
  return table;
}

class UploadForm {
  constructor(form) {
    this.form = form;
    this.file = form.elements.file;
    this.drop = form.querySelector(".drop");
    this.told = form.querySelector("#told");
    this.bar = form.querySelector("#progress");
    this.stop = form.querySelector("#stop");
    this.send = form.querySelector("button:not([type])");
    this.file.addEventListener("change", () => this.chosen());
    form.addEventListener("submit", (event) => { event.preventDefault(); this.upload(); });
    for (const each of form.querySelectorAll("[data-scripted]")) each.hidden = false;
    this.takeDrops();
    if (this.file.files.length) this.chosen();
  }

  takeDrops() {
    const over = (is) => (event) => { event.preventDefault(); this.drop.classList.toggle("over", is); };
    for (const name of ["dragenter", "dragover"]) this.drop.addEventListener(name, over(true));
    for (const name of ["dragleave", "drop"]) this.drop.addEventListener(name, over(false));
    this.drop.addEventListener("drop", (event) => {
      if (!event.dataTransfer.files.length) return;
      const first = new DataTransfer();
      first.items.add(event.dataTransfer.files[0]);
      this.file.files = first.files;
      this.chosen();
    });
    for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
  }

  async chosen() {
    const file = this.file.files[0];
    this.fault("file", file && file.size > Number(this.file.dataset.limit) ? this.file.dataset.tooLarge : "");
    if (file) this.suggest(file.name.replace(/\.[^.]*$/, ""));
    await this.preview(file);
  }

  suggest(stem) {
    const { name, dataset_id } = this.form.elements;
    name.value ||= stem;
    dataset_id.value ||= stem.normalize("NFKD").replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[^A-Za-z0-9]+|-+$/g, "");
  }

  async preview(file) {
    const text = file ? await file.slice(0, PREVIEW_BYTES).text() : "";
    if (file !== this.file.files[0]) return;
    const readable = /\.(csv|tsv|tab|txt)$/i.test(file?.name ?? "") && !text.includes("\0");
    const rows = readable ? parseRows(text.replace(/^\uFEFF/, ""), delimiterOf(text), PREVIEW_LINES) : [];
    const place = this.form.querySelector("#preview");
    place.hidden = rows.length === 0;
    place.querySelector(".scroll").replaceChildren(...(rows.length ? [tableOf(rows)] : []));
    const options = (rows[0] ?? []).map((name) => Object.assign(document.createElement("option"), { value: name }));
    this.form.querySelector("#columns").replaceChildren(...options);
  }

  upload() {
    if (this.file.files[0].size > Number(this.file.dataset.limit)) { this.file.focus(); return; }
    const request = new XMLHttpRequest();
    request.open("POST", this.form.action);
    request.setRequestHeader("Accept", "text/html");
    request.upload.addEventListener("progress", (event) => this.progress(event));
    request.addEventListener("load", () => this.answered(request));
    request.addEventListener("error", () => this.ended(this.form.dataset.broken));
    request.addEventListener("abort", () => this.ended(this.form.dataset.stopped));
    this.stop.onclick = () => request.abort();
    this.show(true);
    request.send(new FormData(this.form));
  }

  progress({ loaded, total }) {
    const percent = Math.floor((100 * loaded) / total);
    this.bar.value = percent;
    this.stop.hidden = percent === 100;
    const words = percent < 100 ? `${percent - (percent % 10)} % sent` : this.form.dataset.arrived;
    if (this.told.textContent !== words) this.told.textContent = words;
  }

  answered(request) {
    if (request.status < 400) { location.assign(request.responseURL); return; }
    const answer = new DOMParser().parseFromString(request.responseText, "text/html");
    if (!answer.querySelector("#faults")) {
      this.ended((answer.querySelector(".lead") ?? answer.body).textContent);
      return;
    }
    this.ended("");
    for (const now of this.form.querySelectorAll("#faults, .fault")) {
      now.replaceChildren(...(answer.getElementById(now.id)?.childNodes ?? []));
      this.mark(now);
    }
    (this.form.querySelector("[aria-invalid]") ?? this.file).focus();
  }

  ended(words) {
    this.show(false);
    this.told.textContent = words;
  }

  fault(name, words) {
    const place = this.form.querySelector(`#${name}-fault`);
    place.textContent = words;
    this.mark(place);
  }

  mark(place) {
    const field = document.getElementById(place.id.replace(/-fault$/, ""));
    if (field !== place) field?.toggleAttribute("aria-invalid", place.textContent !== "");
    if (field?.hasAttribute("aria-invalid")) field.setAttribute("aria-invalid", "true");
  }

  show(sending) {
    this.send.disabled = sending;
    this.bar.hidden = this.stop.hidden = !sending;
    this.bar.value = 0;
  }
}

/** A field that adds names to a long list of choices: each name of its list becomes a box that is ticked. */
class Adding {
  constructor(field) {
    this.field = field;
    this.told = field.parentElement.querySelector("[role=status]");
    this.chosen = field.parentElement.querySelector(".many");
    field.addEventListener("input", (event) => { if (event.inputType === "insertReplacementText" || !event.inputType) this.take(); });
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && field.value.trim()) { event.preventDefault(); this.take(); }
    });
  }

  take() {
    const name = [this.field.value, this.field.value.trim()].find((text) => this.known(text));
    if (name === undefined) return;
    const boxes = [...this.chosen.querySelectorAll("input")];
    const box = boxes.find((each) => each.value === name) ?? this.added(name);
    box.checked = true;
    this.field.value = "";
    this.told.textContent = `${name} ✓`;
  }

  known(text) {
    return [...this.field.list.options].some((option) => option.value === text);
  }

  added(name) {
    const box = Object.assign(document.createElement("input"), { type: "checkbox", name: this.field.name, value: name });
    const label = Object.assign(document.createElement("label"), { className: "choice" });
    label.append(box, " ", Object.assign(document.createElement("bdi"), { textContent: name }));
    this.chosen.append(label);
    return box;
  }
}

/** Regions marked data-live are kept as the server would write them now. */
class Live {
  constructor(regions) {
    this.regions = regions;
    this.written = new Map(regions.map((region) => [region.id, region.innerHTML]));
    this.stream = regions.map((region) => region.dataset.stream).find(Boolean);
    for (const region of regions) region.addEventListener("input", () => { region.dataset.touched = ""; });
    this.open();
    document.addEventListener("visibilitychange", () => (document.hidden ? this.close() : this.open()));
    window.addEventListener("pagehide", () => this.close());
  }

  open() {
    if (this.source) return;
    this.source = new EventSource(this.stream);
    for (const name of ["open", "pipeline", "notification"]) this.source.addEventListener(name, () => this.soon(300));
    this.source.addEventListener("error", () => this.soon(POLL_SECONDS * 1000));
  }

  close() {
    this.source?.close();
    this.source = null;
    clearTimeout(this.timer);
    this.timer = null;
  }

  soon(milliseconds) {
    this.timer ??= setTimeout(() => this.refresh(), milliseconds);
  }

  async refresh() {
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (answer.ok && !answer.redirected) this.write(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch (error) {
      console.info("The server does not answer; it is asked again.", error);
    }
    this.timer = null;
    const lost = this.source?.readyState === EventSource.CLOSED;
    if (this.source && (lost || this.regions.some((region) => region.dataset.poll))) this.soon(POLL_SECONDS * 1000);
  }

  write(page) {
    for (const region of this.regions) {
      const fresh = page.getElementById(region.id);
      if (!fresh || this.written.get(region.id) === fresh.innerHTML || this.isInUse(region)) continue;
      this.written.set(region.id, fresh.innerHTML);
      const link = region.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      region.replaceChildren(...fresh.childNodes);
      enliven(region);
      if (link) region.querySelector(`a[href="${CSS.escape(link)}"]`)?.focus();
      if (fresh.dataset.poll) region.dataset.poll = fresh.dataset.poll;
      else delete region.dataset.poll;
    }
  }

  /** Somebody is filling in its form. */
  isInUse(region) {
    return "touched" in region.dataset || region.querySelector("details[open] form, form :focus") !== null;
  }
}

const enliven = (place) => { for (const field of place.querySelectorAll("[data-adds]")) new Adding(field); };
enliven(document);
const upload = document.getElementById("upload");
if (upload) new UploadForm(upload);
const regions = [...document.querySelectorAll("[data-live]")];
if (regions.some((region) => region.dataset.stream)) new Live(regions);
