import { expect, test } from "vitest";
import { lineDiff } from "./line-diff";

const text = (n: number, change: Record<number, string> = {}) => Array.from({ length: n }, (_, i) => change[i + 1] ?? `line ${i + 1}`).join("\n");

test("what changed stands among three lines, the rest is folded", () => {
  const { parts, added, removed } = lineDiff(text(20), text(20, { 10: "other" }));
  expect([added, removed]).toEqual([1, 1]);
  expect(parts.map((part) => (part.kind === "fold" ? `… ${part.lines.length}` : `${part.kind} ${part.before} ${part.after} ${part.text}`))).toEqual([
    "… 6",
    "same 7 7 line 7",
    "same 8 8 line 8",
    "same 9 9 line 9",
    "removed 10 0 line 10",
    "added 0 10 other",
    "same 11 11 line 11",
    "same 12 12 line 12",
    "same 13 13 line 13",
    "… 7",
  ]);
});

test("equal texts are one fold", () => {
  expect(lineDiff(text(3), text(3)).parts).toMatchObject([{ kind: "fold", lines: [{ text: "line 1" }, {}, {}] }]);
});

test("texts that differ all over do not take long, and lose no line", () => {
  const { added, removed } = lineDiff(text(5_000), Array.from({ length: 5_000 }, (_, i) => `other ${i}`).join("\n"));
  expect([added, removed]).toEqual([5_000, 5_000]);
});
