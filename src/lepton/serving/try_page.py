"""A page to try a model in a browser.

The page is one constant text that knows no model: its script asks the server for the columns, with a token where one is
wanted, and builds the form from them. So it can be shown to anybody, nothing a stranger chose is ever in its HTML, and
its policy allows this very script and this very style, by their hashes, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib

__all__ = ["HTML", "PAGE", "POLICY"]

HTML = "text/html; charset=utf-8"

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --fill: #3b82f6; --bad: #c2410c; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 44rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin-top: 2rem; }
form div { margin: 0 0 .6rem; }
label { display: block; font-weight: 600; overflow-wrap: anywhere; }
label small { display: block; font-weight: 400; opacity: .75; }
input, select { box-sizing: border-box; font: inherit; padding: .35rem .5rem; width: 100%; }
button { font: inherit; padding: .45rem 1.2rem; }
output, pre { display: block; }
pre { border: 1px solid var(--line); overflow-x: auto; padding: .7rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.answer { font-size: 1.6rem; font-weight: 600; overflow-wrap: anywhere; }
form .bar { display: grid; gap: .6rem; grid-template-columns: minmax(4rem, 12rem) 1fr 4rem; margin: .25rem 0; }
.bar span { overflow-wrap: anywhere; }
.track { border: 1px solid var(--line); position: relative; }
.fill { background: var(--fill); height: 100%; left: 0; position: absolute; top: 0; }
.bar span:last-child { text-align: right; }
.bad { color: var(--bad); overflow-wrap: anywhere; }
"""

_SCRIPT = """
"use strict";
const model = decodeURIComponent(location.pathname.split("/")[3]);
const base = location.pathname.slice(0, -"/try".length);
const here = (id) => document.getElementById(id);
const fields = [];
let row, picked;

function made(kind, text, name) {
  const element = document.createElement(kind);
  if (text !== undefined) element.textContent = text;
  if (name) element.className = name;
  return element;
}

function headers() {
  const token = here("token").value;
  return token ? { authorization: "Bearer " + token } : {};
}

async function asked(path, options = {}) {
  here("failure").replaceChildren();
  const response = await fetch(path, { ...options, headers: { ...options.headers, ...headers() } });
  const value = await response.json();
  if (response.status === 401) here("access").hidden = false;
  if (!response.ok) throw new Error(value.error);
  return value;
}

function fail(error) {
  here("answer").replaceChildren();
  here("failure").replaceChildren(made("p", error.message, "bad"));
}

function numberOf(text) {
  const number = Number(text);
  return Number.isFinite(number) ? number : text;
}

function booleanField() {
  const input = made("select");
  for (const text of ["", "true", "false"]) input.append(new Option(text === "" ? "unknown" : text, text));
  return [input, (text) => text === "true"];
}

function textField(schema, id) {
  const input = made("input");
  input.autocomplete = "off";
  const isNumber = schema.type[0] === "number";
  if (isNumber) input.inputMode = "decimal";
  if (schema["x-kind"] === "category" && schema.examples) {
    const list = made("datalist");
    list.id = id + "-known";
    for (const value of schema.examples) list.append(new Option(value, value));
    input.setAttribute("list", list.id);
    here("form").before(list);
  }
  return [input, isNumber ? numberOf : (text) => text];
}

function fileField(kind) {
  const input = made("input");
  input.type = "file";
  input.accept = kind === "image" ? "image/jpeg,image/png" : "audio/wav,audio/flac,.wav,.flac";
  picked = () => input.files[0];
  return [input, (text) => text];
}

function typeOf(file) {
  const known = { jpg: "image/jpeg", jpeg: "image/jpeg", png: "image/png", wav: "audio/wav", flac: "audio/flac" };
  return known[file.name.split(".").pop().toLowerCase()] || file.type || "application/json";
}

function fieldOf(schema, id) {
  if (["image", "audio"].includes(schema["x-kind"])) return fileField(schema["x-kind"]);
  return schema.type[0] === "boolean" ? booleanField() : textField(schema, id);
}

function addField(name, schema, place) {
  const id = "field-" + place;
  const [input, read] = fieldOf(schema, id);
  input.id = id;
  if (input.type !== "file") input.value = schema.examples ? String(schema.examples[0]) : "";
  const label = made("label", name);
  label.htmlFor = id;
  label.append(made("small", schema.description));
  const holder = made("div");
  holder.append(label, input);
  here("fields").append(holder);
  fields.push(() => [name, input.value === "" ? null : read(input.value)]);
}

function quoted(text) {
  return "'" + text.replaceAll("'", "'\\\\''") + "'";
}

function showCall() {
  row = JSON.stringify(Object.fromEntries(fields.map((field) => field())));
  const token = here("token").value ? " \\\\\\n  -H \\"authorization: Bearer $TOKEN\\"" : "";
  if (picked) {
    const file = picked();
    here("curl").textContent = "curl " + quoted(location.origin + base + "/rows") + token + " \\\\\\n  -H " +
      quoted("content-type: " + (file ? typeOf(file) : "…")) +
      " \\\\\\n  --data-binary " + quoted("@" + (file ? file.name : "FILE"));
    return;
  }
  here("curl").textContent = "curl " + quoted(location.origin + base + "/rows") + token +
    " \\\\\\n  -H 'content-type: application/json' \\\\\\n  -d " + quoted(row);
}

function shown(value) {
  return typeof value === "number" ? String(Number(value.toPrecision(6))) : String(value);
}

function bar(label, share) {
  const line = made("div", undefined, "bar");
  const track = made("div", undefined, "track");
  const fill = made("div", undefined, "fill");
  fill.style.width = Math.min(Math.max(share, 0), 1) * 100 + "%";
  track.append(fill);
  line.append(made("span", label), track, made("span", (share * 100).toFixed(1) + " %"));
  return line;
}

function showAnswer(answer) {
  const value = answer.predictions[0];
  const parts = [made("p", typeof value === "object" ? JSON.stringify(value) : shown(value), "answer")];
  if (answer.lower && answer.upper)
    parts.push(made("p", "between " + shown(answer.lower[0]) + " and " + shown(answer.upper[0]), "interval"));
  if (answer.sets) parts.push(made("p", "in the set: " + answer.sets[0].join(", ")));
  if (answer.probabilities) {
    const all = Object.entries(answer.probabilities[0]).sort((a, b) => b[1] - a[1]);
    parts.push(...all.slice(0, 20).map(([label, share]) => bar(label, share)));
    if (all.length > 20) parts.push(made("p", "and " + (all.length - 20) + " more"));
  }
  here("answer").replaceChildren(...parts);
}

async function ask() {
  showCall();
  try {
    const file = picked && picked();
    if (picked && !file) throw new Error("Choose a file first.");
    const type = file ? typeOf(file) : "application/json";
    const options = { method: "POST", headers: { "content-type": type }, body: file || row };
    showAnswer(await asked(base + "/rows", options));
  } catch (error) {
    fail(error);
  }
}

function schemaOf(column) {
  const kinds = { number: "number", boolean: "boolean" };
  return { type: [kinds[column.kind] || "string", "null"], description: column.kind, "x-kind": column.kind };
}

async function columnsOf() {
  const told = await asked("/openapi.json");
  const at = told.paths[base + "/rows"];
  if (at) {
    const named = (reference) => told.components.schemas[reference.split("/").pop()];
    const rows = named(at.post.requestBody.content["application/json"].schema.$ref);
    return named(rows.anyOf[2].$ref).properties;
  }
  const state = await asked(base);
  if (!state.columns) throw new Error("The model is not ready: " + (state.reason || state.state));
  return Object.fromEntries(state.columns.map((column) => [column.name, schemaOf(column)]));
}

async function begin() {
  try {
    const columns = await columnsOf();
    here("fields").replaceChildren();
    fields.length = 0;
    picked = undefined;
    Object.entries(columns).forEach(([name, schema], place) => addField(name, schema, place));
    here("answer").replaceChildren();
    here("access").hidden = !here("token").value;
    here("ask").hidden = false;
    showCall();
    if (Object.values(columns).every((schema) => schema.examples)) await ask();
  } catch (error) {
    fail(error);
  }
}

document.title = "Try " + model;
here("title").textContent = model;
here("form").addEventListener("submit", (event) => { event.preventDefault(); ask(); });
here("form").addEventListener("input", showCall);
here("access").addEventListener("submit", (event) => { event.preventDefault(); begin(); });
begin();
"""


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


POLICY = (
    f"default-src 'none'; script-src {_hash(_SCRIPT)}; style-src {_hash(_STYLE)}; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
"""Content security policy of the page."""

PAGE = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Try a model</title>
<style>{_STYLE}</style>
</head>
<body>
<h1 id="title">A model</h1>
<form id="access" hidden>
<div><label for="token">Token <small>what the server showed when it started</small></label>
<input id="token" type="password" autocomplete="off"></div>
<button>Use it</button>
</form>
<form id="form" autocomplete="off">
<div id="fields"></div>
<div id="ask" hidden>
<button>Ask</button>
<output id="answer" aria-live="polite"></output>
<h2>The same from a shell</h2>
<pre id="curl"></pre>
</div>
</form>
<output id="failure" aria-live="polite"></output>
<noscript>This page needs JavaScript. The same by curl stands in the how-to of the server.</noscript>
<script>{_SCRIPT}</script>
</body>
</html>
"""
"""The page."""
