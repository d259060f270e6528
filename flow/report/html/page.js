
"use strict";
(() => {
  const STATUSES = ["failed", "errored", "cancelled", "skipped", "passed"];
  const BROKEN = ["failed", "errored", "cancelled"];

  // el makes an element; what it holds is text or elements, never markup.
  const el = (name, className, ...held) => {
    const e = document.createElement(name);
    if (className) e.className = className;
    e.append(...held.filter((h) => h !== undefined && h !== ""));
    return e;
  };
  // Numbers stay as they came: what a JavaScript number would change (59.80, a
  // long id) is kept as a text behind EXACT, and shown without it.
  const EXACT = "\u0001#";
  const read = (json) => JSON.parse(json.replace(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g,
    (t) => (t[0] === '"' || String(Number(t)) === t ? t : '"\\u0001#' + t + '"')));
  const print = (v, indent) => JSON.stringify(v, null, indent).replace(/"\\u0001#(-?\d[\d.eE+-]*)"/g, "$1");
  const inline = (v) => (v === undefined ? "nothing" : print(v));
  const number = (v) => Number(typeof v === "string" ? v.replace(EXACT, "") : v);

  // text is a value for people: JSON within a text is laid out, too.
  const text = (v) => {
    if (typeof v !== "string" || v.startsWith(EXACT)) return print(v, 2);
    if (!/^\s*[[{]/.test(v)) return v;
    try {
      return print(read(v), 2);
    } catch {
      return v;
    }
  };
  const pre = (v) => el("pre", "", text(v));
  const took = (v) => {
    const ms = number(v);
    return v === undefined ? "" : ms < 1000 ? Math.round(ms) + " ms" : (ms / 1000).toFixed(2) + " s";
  };
  const table = (heads, rows) => {
    const line = (cell, cells) => el("tr", "", ...cells.map((c) => (c instanceof Node ? c : el(cell, "code", c))));
    return el("table", "", line("th", heads), ...rows.map((r) => line("td", r)));
  };

  // tree nests steps by their paths: "each[2]" is round 2 of "each".
  const tree = (events) => {
    const root = { children: new Map(), events: [] };
    for (const e of events) {
      let node = root;
      for (const part of e.path || [e.step_id || "?"]) {
        const round = /^(.+?)(\[\d+\])$/.exec(part);
        for (const key of round ? [round[1], round[2]] : [part]) {
          if (!node.children.has(key)) node.children.set(key, { key, children: new Map(), events: [] });
          node = node.children.get(key);
        }
      }
      node.events.push(e);
    }
    return root;
  };

  const claims = (list) => el("ul", "claims", ...list.map((a) => {
    const status = a.passed ? "passed" : a.errored ? "errored" : "failed";
    const item = el("li", status, el("b", "status", status), " ", el("span", "code", a.expression || ""));
    if (a.message) item.append(el("span", a.passed ? "soft" : "", a.message));
    if (a.passed) return item;
    if (a.line) item.append(" ", el("span", "soft", "line " + a.line));
    if (a.operands) {
      item.append(table(["operand", "value"], a.operands.map((o) => [
        o.text || "", o.missing !== undefined ? "missing; nearest is " + o.missing : o.error !== undefined ? o.error : inline(o.value),
      ])));
    }
    if (a.diff) {
      item.append(table(["difference", "expected", "got"], a.diff.map((c) => [
        c.path || "", el("td", "code want", inline(c.expected)), el("td", "code got", inline(c.actual)),
      ])));
    }
    if (a.diff_more) item.append(el("p", "soft", a.diff_more + " more differences"));
    return item;
  }));

  const failure = (e) => {
    const lines = [(e.code ? e.code + " " : "") + (e.message || ""), ...(e.details || [])];
    if (e.hint) lines.push("hint: " + e.hint);
    if (e.blame) lines.push("blame: " + e.blame);
    return pre(lines.join("\n"));
  };

  const heading = (words) => el("h3", "", words);

  const folded = (words, v) => el("details", "", el("summary", "soft", words), pre(v));

  // message shows a request or response: its body open, the rest to unfold.
  const message = (words, v) => {
    if (v === undefined) return [];
    if (v === null || typeof v !== "object" || v.body === undefined) return [el("p", "label", words), pre(v)];
    if (v.body === null) return [folded(words, v)];
    const { body, ...rest } = v;
    return [el("p", "label", words + " body"), pre(body), folded(words + ": the rest", rest)];
  };

  // parts shows one event of a step.
  const parts = (e) => {
    switch (e.type) {
      case "step.log":
        return [el("p", "", el("span", "soft", (e.level || "log") + " "), e.message || ""), ...(e.data === undefined ? [] : [pre(e.data)])];
      case "step.exchange": {
        const out = [heading(e.summary || e.protocol || "exchange")];
        if (e.timings) out.push(el("p", "soft", Object.entries(e.timings).filter(([k, v]) => k === "total" || number(v) > 0).map(([k, v]) => k + " " + took(v)).join(" · ")));
        out.push(...message("request", e.request), ...message("response", e.response));
        if (e.curl) out.push(folded("as a command", e.curl));
        return out;
      }
      case "step.retrying":
        return [heading("try " + e.try + ": " + (e.status || "") + ", repeated after " + took(e.next_in_ms || 0)),
          ...(e.assertions ? [claims(e.assertions)] : []), ...(e.error ? [failure(e.error)] : [])];
      case "step.artifact":
        return [el("p", "", "artifact " + (e.name || "") + " · " + (e.media_type || "") + " · " + (e.size || 0) + " bytes · sha256 " + (e.sha256 || ""))];
      case "step.finished":
        return finished(e);
    }
    return [];
  };

  const finished = (e) => {
    const out = [];
    if (e.assertions) out.push(heading("Assertions"), claims(e.assertions));
    if (e.error) out.push(heading("Error"), failure(e.error));
    if (e.values) out.push(heading("Values"), table(["name", "value", "from"], e.values.map((v) => [v.name || "", inline(v.value), v.origin || ""])));
    if (e.result !== undefined) out.push(heading("Result"), pre(e.result));
    if (e.result_preview) out.push(heading("Result, its beginning"), pre(e.result_preview));
    if (e.outputs) out.push(heading("Outputs"), pre(e.outputs));
    return out;
  };

  const step = (node) => {
    const end = node.events.findLast((e) => e.type === "step.finished");
    const status = end ? end.status : "";
    const one = end || node.events[0] || {};
    const name = one.name && one.type === "step.finished" ? one.name + " " : "";
    const tries = end && end.tries > 1 ? " · " + end.tries + " tries" : "";
    const phase = one.phase && one.phase !== "steps" ? " · " + one.phase : "";
    const reason = end && end.reason ? " · " + end.reason : "";
    const summary = el("summary", "", el("b", "status", status || "round"), " ", el("span", "name", name || node.key),
      el("span", "file", (name ? node.key + " · " : "") + (one.action || "") + (one.line ? " · line " + one.line : "") + phase + tries + reason + (end && end.ignored ? " · ignored" : "")),
      el("span", "time", took(end && end.duration_ms)));
    const box = el("details", status, summary);
    let filled = false;
    const fill = () => {
      if (filled) return;
      filled = true;
      for (const child of node.children.values()) box.append(step(child));
      const shown = node.events.filter((e) => e !== end);
      for (const e of end ? [end, ...shown] : shown) box.append(...parts(e));
    };
    box.addEventListener("toggle", () => box.open && fill());
    if (BROKEN.includes(status)) {
      fill();
      box.open = true;
    }
    return box;
  };

  // unfold renders the steps of a run when it is first opened.
  const unfold = (run) => {
    const data = run.querySelector(":scope > script");
    if (!data) return;
    const steps = el("div", "steps", el("h2", "", "Steps"));
    try {
      for (const node of tree(read(data.textContent)).children.values()) steps.append(step(node));
    } catch (err) {
      steps.append(el("p", "", "The steps cannot be shown: " + err.message));
    }
    data.replaceWith(steps);
  };
  document.addEventListener("toggle", (e) => {
    if (e.target.open && e.target.classList.contains("run")) unfold(e.target);
  }, true);

  const runs = [...document.querySelectorAll("#runs > .run")];
  // The first of what did not pass, as the page has them in order, is open.
  for (const status of BROKEN) {
    const first = runs.find((r) => r.dataset.status === status);
    if (first) {
      first.open = true;
      break;
    }
  }
  document.title = document.getElementById("verdict").textContent + " " + document.getElementById("counts").textContent.trim() + " · TestMesh";

  const counts = new Map();
  for (const r of runs) counts.set(r.dataset.status, (counts.get(r.dataset.status) || 0) + 1);
  const chosen = new Set();
  const search = document.getElementById("search");
  const shown = document.getElementById("shown");
  let lines;
  const filter = () => {
    lines = lines || runs.map((r) => r.firstElementChild.textContent.toLowerCase());
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let n = 0;
    runs.forEach((r, i) => {
      const keep = (chosen.size === 0 || chosen.has(r.dataset.status)) && words.every((w) => lines[i].includes(w));
      if (r.hidden === keep) r.hidden = !keep;
      if (keep) n++;
    });
    shown.textContent = n + " of " + runs.length + " runs";
  };
  for (const status of STATUSES) {
    if (!counts.has(status)) continue;
    const button = el("button", "", status + " " + counts.get(status));
    button.type = "button";
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      if (!chosen.delete(status)) chosen.add(status);
      button.setAttribute("aria-pressed", String(chosen.has(status)));
      filter();
    });
    document.getElementById("filters").append(button);
  }
  let later;
  search.addEventListener("input", () => {
    clearTimeout(later);
    later = setTimeout(filter, 100);
  });
  document.getElementById("controls").hidden = false;
  shown.textContent = runs.length + " runs";
})();
