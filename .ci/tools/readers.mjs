// Reads a report back with what its format's own people publish, and prints what
// was seen as one line of JSON. What they refuse ends it with exit code 1.
//
//   node readers.mjs ctrf FILE     the JSON Schema of the format, and its summary counted again
//   node readers.mjs tap FILE      a strict parser of TAP 14
//   node readers.mjs allure DIR    the reader of Allure 3

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

const count = (counts, key) => {
  counts[key] = (counts[key] || 0) + 1;
};

// ctrf holds the document against the schema and its summary against its tests.
async function ctrf(file) {
  const { calculateSummary, validate } = await import("ctrf");
  const report = JSON.parse(readFileSync(file, "utf8"));
  const verdict = validate(report);
  if (!verdict.valid) throw new Error("not CTRF: " + JSON.stringify(verdict.errors.slice(0, 5)));
  const { summary, tests } = report.results;
  const again = calculateSummary(tests);
  for (const key of ["tests", "passed", "failed", "skipped", "pending", "other", "flaky"]) {
    if (summary[key] !== (again[key] || 0)) throw new Error(`the summary has ${summary[key]} ${key}, the tests ${again[key]}`);
  }
  const ids = new Set(tests.map((t) => t.id));
  return { tests: tests.length, passed: summary.passed, failed: summary.failed, skipped: summary.skipped, ids: ids.size };
}

// tap parses the file. In strict mode whatever is not TAP is a failure of its
// own, so that the numbers say whether all was understood.
async function tap(file) {
  const { Parser } = await import("tap-parser");
  const extra = [];
  let version = 0;
  let explained = 0;
  let results;
  const parser = new Parser({ strict: true }, (r) => {
    results = r;
  });
  parser.on("extra", (text) => extra.push(text));
  parser.on("version", (v) => {
    version = v;
  });
  parser.on("assert", (a) => {
    if (!a.ok && a.diag && typeof a.diag.status === "string" && typeof a.diag.message === "string") explained++;
  });
  parser.end(readFileSync(file, "utf8"));
  if (extra.length > 0) throw new Error("not TAP: " + JSON.stringify(extra.slice(0, 5)));
  const wrong = results.failures.filter((f) => f.tapError);
  if (wrong.length > 0) throw new Error("not TAP: " + JSON.stringify(wrong.slice(0, 5)));
  return {
    version, tests: results.count, passed: results.pass - results.skip, failed: results.fail, skipped: results.skip,
    plan: parser.planEnd, explained, bailout: results.bailout || "",
  };
}

// steps counts what stands below a step, and collects the files it refers to.
function steps(list, seen) {
  for (const s of list || []) {
    if (s.type === "attachment") {
      seen.named.push(s.originalFileName);
      continue;
    }
    seen.steps++;
    if (!s.name || s.status === "unknown" || !(s.start <= s.stop)) throw new Error("a step that says nothing: " + JSON.stringify(s).slice(0, 500));
    for (const p of s.parameters || []) if (p.masked) seen.masked.push(p.value);
    steps(s.steps, seen);
  }
}

// allure has every file of the folder read, and checks that what is referred to
// is there, and what is there referred to.
async function allure(dir) {
  const { allure2 } = await import("@allurereport/reader");
  const { PathResultFile } = await import("@allurereport/reader-api");
  const seen = { steps: 0, named: [], masked: [] };
  const files = new Set();
  const tests = [];
  const fixtures = [];
  const metadata = {};
  const globals = [];
  const visitor = {
    visitTestResult: async (r) => tests.push(r),
    visitTestFixtureResult: async (f) => fixtures.push(f),
    visitAttachmentFile: async (f) => files.add(f.getOriginalFileName()),
    visitMetadata: async (m) => Object.assign(metadata, m),
    visitGlobals: async (g) => globals.push(...g.errors.map((e) => e.message)),
  };
  for (const name of readdirSync(dir)) {
    const file = new PathResultFile(join(dir, name));
    if (!allure2.matches(file)) throw new Error("the reader does not know " + name);
    if (!(await allure2.read(visitor, file))) throw new Error("the reader refuses " + name);
  }

  const counts = {};
  const ids = new Set();
  for (const t of tests) {
    count(counts, t.status);
    ids.add(t.historyId);
    for (const key of ["uuid", "name", "fullName", "testId", "historyId"]) if (!t[key]) throw new Error(`${key} is missing: ${JSON.stringify(t).slice(0, 500)}`);
    if (!(t.start <= t.stop)) throw new Error("a test that ends before it starts: " + t.name);
    if (t.status !== "passed" && !t.message) throw new Error("nothing says why: " + t.name);
    steps(t.steps, seen);
  }
  const uuids = new Set(tests.map((t) => t.uuid));
  for (const f of fixtures) {
    if (!f.testResults.every((id) => uuids.has(id))) throw new Error("a fixture of no test: " + f.name);
    steps(f.steps, seen);
  }
  for (const name of seen.named) if (!files.has(name)) throw new Error("no file " + name);
  if (new Set(seen.named).size !== files.size) throw new Error(`${files.size} files, ${seen.named.length} are referred to`);
  return {
    tests: tests.length, ...counts, ids: ids.size, steps: seen.steps, attachments: files.size, masked: seen.masked,
    before: fixtures.filter((f) => f.type === "before").length, after: fixtures.filter((f) => f.type === "after").length,
    categories: (metadata.allure2_categories || []).length, globals,
    environment: Object.fromEntries((metadata.allure_environment || []).map((e) => [e.name, e.values[0]])),
    executor: metadata.allure2_executor,
  };
}

const [kind, path] = process.argv.slice(2);
const read = { ctrf, tap, allure }[kind];
try {
  if (!read || !path) throw new Error("usage: node readers.mjs ctrf|tap FILE, or allure DIR");
  console.log(JSON.stringify(await read(path)));
} catch (err) {
  console.error(String(err.stack || err));
  process.exit(1);
}
