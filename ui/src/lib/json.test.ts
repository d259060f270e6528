import { expect, test } from "vitest";
import { brief, Exact, parseBody, parseJson, printJson } from "./json";

test("a body that is JSON is data, another is not", () => {
  expect(parseBody(' {"a": [1]}')).toEqual({ a: [1] });
  for (const text of ["<html>", "", "plain", "{broken", '"a text"']) expect(parseBody(text)).toBeUndefined();
});

test("what is printed is JSON again", () => {
  const value = { a: [1, "x", null, { b: true }], "a b": {}, c: [] };
  expect(JSON.parse(printJson(value))).toEqual(value);
});

test("an exact number is printed as it came, and is no text", () => {
  expect(printJson({ n: new Exact("12345678901234567890"), p: new Exact("59.80") })).toBe('{\n  "n": 12345678901234567890,\n  "p": 59.80\n}');
});

// What node this runs in may lack the sources of numbers; browsers have them, and the
// journeys look at them there.
test("numbers that a double holds stay numbers", () => {
  expect(parseJson('{"a": 1, "b": -2.5, "c": 1e3, "d": 59.8}')).toMatchObject({ a: 1, b: -2.5, d: 59.8 });
});

test("a value on a line is cut at its length", () => {
  expect(brief("x".repeat(200), 10)).toBe(`"${"x".repeat(9)}…`);
  expect(brief({ a: 1 })).toBe('{"a": 1}');
});
