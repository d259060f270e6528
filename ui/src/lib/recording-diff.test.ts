import { expect, test } from "vitest";
import type { RunEvent } from "./events";
import { Exact, type Json, parseJson } from "./json";
import { Recording } from "./recording";
import { compareRecordings, diffJson } from "./recording-diff";

const diff = (a: string, b: string, most?: number) => diffJson(parseJson(a) as Json, parseJson(b) as Json, most);

test.each([
  ["equal values", '{"a":[1,{"b":null}]}', '{"a":[1,{"b":null}]}', []],
  ["the order of names", '{"a":1,"b":2}', '{"b":2,"a":1}', []],
  ["another value", '{"items":[{"qty":1}]}', '{"items":[{"qty":2}]}', ["$.items[0].qty"]],
  ["what is gone and what has come", '{"a":1}', '{"b":1}', ["$.a", "$.b"]],
  ["names that are no words", '{"x-y":1}', '{"x-y":2}', ['$["x-y"]']],
  ["a list that is shorter", "[1,2,3]", "[1]", ["$[1]", "$[2]"]],
  ["another kind", '{"a":[]}', '{"a":{}}', ["$.a"]],
  ["null and nothing", '{"a":null}', "{}", ["$.a"]],
])("%s", (_, a, b, want) => {
  expect(diff(a, b).changes.map((one) => one.path)).toEqual(want);
});

// Numbers whose text a browser keeps, because a double would not.
test.each([
  ["12345678901234567890", "12345678901234567891", 1],
  ["59.80", "59.8", 0],
  ["59.80", "59.800", 0],
  ["10.0", "1.0", 1],
  ["1e3", "1000", 1], // written otherwise is worth a look
])("%s and %s", (a, b, want) => {
  expect(diffJson({ n: new Exact(a) }, { n: new Exact(b) }).changes).toHaveLength(want);
});

test("a number is the same whether its text was kept or not", () => {
  expect(diffJson({ n: new Exact("59.80") }, { n: 59.8 }).changes).toEqual([]);
  expect(diffJson({ n: new Exact("59.80") }, { n: "59.8" }).changes).toHaveLength(1);
});

test("a side that has nothing says so, and null does not", () => {
  expect(diff('{"a":null}', "{}").changes).toEqual([{ path: "$.a", expected: null }]);
});

test("long lists of differences are cut, and counted", () => {
  const { changes, more } = diff("[1,2,3,4]", "[5,6,7,8]", 3);
  expect([changes.length, more]).toEqual([3, 1]);
});

let seq = 0;
function record(...events: Partial<RunEvent>[]): Recording {
  const recording = new Recording();
  for (const event of events) {
    const line = { v: 1, seq: ++seq, time: "2026-01-01T00:00:00Z", phase: "steps", path: [event.step_id], try: 1, ...event };
    recording.append(`${JSON.stringify(line)}\n`);
  }
  return recording;
}

const step = (id: string, status: RunEvent["status"], response: Json, rest: Partial<RunEvent> = {}): Partial<RunEvent>[] => [
  { type: "step.started", step_id: id },
  { type: "step.exchange", step_id: id, request: { method: "GET" }, response },
  { type: "step.finished", step_id: id, status, duration_ms: 5, ...rest },
];

test("steps are paired by their places; those that are alike are counted", () => {
  const before = record(
    ...step("a", "passed", { status: 200 }),
    ...step("b", "passed", { status: 200, body: '{"n":1}' }),
    ...step("old", "passed", {}),
  );
  const after = record(
    ...step("a", "passed", { status: 200 }, { duration_ms: 900 }),
    ...step("b", "failed", { status: 200, body: '{"n":2}' }, { assertions: [{ expression: "n == 1", passed: false, message: "got 2" }] }),
    ...step("new", "passed", {}),
  );
  const { pairs, alike } = compareRecordings(before, after);
  expect(alike).toBe(1);
  expect(pairs.map((pair) => [pair.key, pair.before?.status, pair.after?.status])).toEqual([
    ["steps/b", "passed", "failed"],
    ["steps/new", undefined, "passed"],
    ["steps/old", "passed", undefined],
  ]);
  expect(pairs[0]?.differences.map((one) => [one.name, one.changes])).toEqual([
    ["Why", [{ path: "$", actual: "got 2" }]],
    ["Response", [{ path: "$.body.n", expected: 1, actual: 2 }]],
  ]);
});

test("headers that are never the same are no difference", () => {
  const headers = (date: string, kind: string): Json => ({ headers: { Date: date, "X-Request-Id": date, "Content-Type": kind } });
  const one = compareRecordings(record(...step("a", "passed", headers("1", "json"))), record(...step("a", "passed", headers("2", "json"))));
  expect(one).toEqual({ pairs: [], alike: 1 });
  const two = compareRecordings(record(...step("a", "passed", headers("1", "json"))), record(...step("a", "passed", headers("2", "text"))));
  expect(two.pairs[0]?.differences[0]?.changes).toEqual([{ path: '$.headers["Content-Type"]', expected: "json", actual: "text" }]);
});
