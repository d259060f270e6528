import { expect, test } from "vitest";
import { check, parseQuery, printQuery, sinceMillis, statusNames } from "./query-text";

test("a line becomes a query, and a query the line", () => {
  const text = 'status:failed,errored env:staging tag:"smoke && !slow" flow:Checkout since:2h';
  const { query, problem } = parseQuery(text);
  expect(problem).toBe("");
  expect(query).toEqual({ status: "failed,errored", env: "staging", tag: "smoke && !slow", flow: "Checkout", since: "2h" });
  expect(printQuery(query)).toBe(text);
});

test.each([
  ["checkout", "is no filter"],
  ["color:red", "no filter “color”"],
  ["status:broken", "no status “broken”"],
  ["since:yesterday", "is no time"],
])("%s is answered by a sentence", (text, want) => {
  expect(parseQuery(text).problem).toContain(want);
});

test("what an address brings is checked too", () => {
  expect(check({ status: "failed,nonsense" })).toContain("nonsense");
  expect(check({})).toBe("");
});

test("a word may be several statuses", () => {
  expect(statusNames("active")).toEqual(["queued", "offered", "running", "finishing"]);
  expect(statusNames("passed")).toEqual(["passed"]);
});

test("a time is a span or a date", () => {
  const now = Date.parse("2026-03-02T00:00:00Z");
  expect(sinceMillis("90m", now)).toBe(90 * 60_000);
  expect(sinceMillis("2026-03-01", now)).toBe(86_400_000);
  expect(sinceMillis("2027-01-01", now)).toBe(0);
  expect(sinceMillis("2h30m", now)).toBeNull();
});
