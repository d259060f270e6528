import { expect, test } from "vitest";
import { isEmpty, parseSelector } from "./selector";

test("values of a name are one or the other, an excluded one is apart", () => {
  expect(parseSelector(" zone=eu-1,eu-2  env=staging trust!=low zone=us-* ")).toEqual({
    selector: { match: { zone: ["eu-1", "eu-2", "us-*"], env: ["staging"] }, not: { trust: ["low"] } },
    problem: "",
  });
});

test("nothing typed selects nothing", () => {
  expect(isEmpty(parseSelector("  ").selector)).toBe(true);
  expect(isEmpty(parseSelector("a!=b").selector)).toBe(false);
});

test.each([
  ["zone", "“zone” is no label: write name=value, as zone=eu-1."],
  ["=eu-1", "“=eu-1” has no name before the sign."],
  ["zo:ne=eu-1", "“zo:ne” is no name of a label."],
  ["zone=", "“zone=” lacks a value."],
  ["zone=a,,b", "“zone=a,,b” lacks a value."],
  ["zone=*-1", "“*-1”: a star stands at the end of a value, as eu-*."],
])("%s is refused in a sentence", (text, problem) => {
  expect(parseSelector(text).problem).toBe(problem);
});

test("a value may hold an equals sign, and a fact its slash", () => {
  expect(parseSelector("fact/os=a=b").selector.match).toEqual({ "fact/os": ["a=b"] });
});
