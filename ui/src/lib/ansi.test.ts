import { expect, test } from "vitest";
import { parseAnsi, plainAnsi } from "./ansi";

const esc = "\u001b";

test("colours and weights become styles", () => {
  expect(parseAnsi(`a${esc}[31mred${esc}[0m${esc}[1;32mgreen${esc}[22;39mplain`)).toEqual([
    { text: "a" },
    { text: "red", color: "red" },
    { text: "green", bold: true, color: "green" },
    { text: "plain", bold: undefined, dim: undefined, color: undefined },
  ]);
});

test.each([
  ["a cursor that moves", `a${esc}[2J${esc}[10;10Hb`, "ab"],
  ["a link", `${esc}]8;;http://evil.example${esc}\\here${esc}]8;;${esc}\\`, "here"],
  ["a title", `${esc}]0;owned\u0007text`, "text"],
  ["a bell and a null", "a\u0007\u0000b", "ab"],
  ["an escape at the end", `text${esc}`, "text"],
  ["a sequence that was cut", `text${esc}[3`, "text[3"],
  ["markup", "<b>bold</b>", "<b>bold</b>"],
])("%s leaves its text", (_name, text, want) => {
  expect(plainAnsi(text)).toBe(want);
  expect(
    parseAnsi(text)
      .map((span) => span.text)
      .join(""),
  ).toBe(want);
});

test("256 colours and true colours do not leak their numbers into the style", () => {
  expect(parseAnsi(`${esc}[38;5;1mx${esc}[38;2;4;1;3my`)).toEqual([{ text: "x" }, { text: "y" }]);
});
