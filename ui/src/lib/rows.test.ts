import { expect, test } from "vitest";
import { readRows } from "./rows";

test.each([
  ["a.csv", 'name,note\nada,"a ""b"", c\nsecond line"\r\n\nbob,\n'],
  ["a.json", '[{"name": "ada", "note": "a \\"b\\", c\\nsecond line"}, {"name": "bob", "note": ""}]'],
  ["a.jsonl", '{"name": "ada", "note": "a \\"b\\", c\\nsecond line"}\n\n{"name": "bob", "note": ""}\n'],
  ["A.YAML", '- {name: ada, note: "a \\"b\\", c\\nsecond line"}\n- name: bob\n  note: ""\n'],
])("%s has the same rows", async (name, text) => {
  expect(await readRows(name, `\ufeff${text}`)).toEqual({
    problem: "",
    columns: ["name", "note"],
    rows: [
      { name: "ada", note: 'a "b", c\nsecond line' },
      { name: "bob", note: "" },
    ],
  });
});

test.each([
  ["a.csv", "", "Line 1: there is no header with the names of the columns."],
  ["a.csv", "a,,b\n", "Line 1: column 2 has no name."],
  ["a.csv", "a, a\n", "Line 1: there are two columns “a”."],
  ["a.csv", 'a,b\n"x\ny",2\n3\n', "Line 4: the row has 1 value for 2 columns."],
  ["a.csv", 'a\nx"y\n', "Line 2: a quote stands inside of a value that does not begin with one."],
  ["a.csv", 'a\n1\n"x\n', "Line 3: a quote is opened and never closed."],
  ["a.csv", 'a\n"x" y\n', "Line 2: something follows a closing quote."],
  ["a.csv", "a,b\n", "There are no rows in it: nothing would run."],
  ["a.json", '[\n  {"a": b}\n]', "Line 2: this is not JSON: “b” stands where a value should be."],
  ["a.json", '[\n  {"a": 1\n', "Line 2: this is not JSON: it ends where a comma or } should be."],
  ["a.json", '[{"a": 1},]', "Line 1: this is not JSON: “]” stands where a value should be."],
  ["a.json", "[{a: 1}]", "Line 1: this is not JSON: “a” stands where a name in double quotes should be."],
  ["a.json", '[{"a" 1}]', "Line 1: this is not JSON: “1” stands where a colon should be."],
  ["a.json", '["a\n"]', 'Line 1: this is not JSON: “"” stands where a text that ends on its line should be.'],
  ["a.json", "[] x", "Line 1: this is not JSON: “x” stands where the end should be."],
  ["a.json", '{"a": 1}', "Rows are a list of objects, one a row; this file holds something else."],
  ["a.json", '[{"a": 1}, 2]', "Row 2 is no object of names and values."],
  ["a.jsonl", '{"a": 1}\n\n{"a": }\n', "Line 3: this is not JSON: “}” stands where a value should be."],
  ["a.jsonl", '{"a": 1}\n[1]\n', "Line 2: the row is no object of names and values."],
  ["a.yaml", "- a: 1\n  a: 2\n", "Line 2: this is not YAML: map keys must be unique."],
  ["a.yaml", "", "There are no rows in it."],
  ["a.txt", "a", "Rows cannot be read from a.txt: they come from .csv, .json, .jsonl, .ndjson, .yaml, .yml."],
  ["a.csv", "a\n\ufffd\n", "a.csv is not UTF-8 text."],
])("%s that is wrong is a sentence: %j", async (name, text, problem) => {
  expect(await readRows(name, text)).toEqual({ problem });
});

test("nesting that exhausts the reader is a sentence too", async () => {
  const { problem } = await readRows("a.json", "[".repeat(200_000));
  expect(problem).toMatch(/^Line 1: this is not JSON: /);
});

test("aliases that multiply are refused", async () => {
  const lines = ["- &a0 {x: 1}"];
  for (let i = 1; i < 12; i++) lines.push(`- &a${i} {${Array.from({ length: 10 }, (_, n) => `k${n}: *a${i - 1}`).join(", ")}}`);
  expect((await readRows("a.yaml", lines.join("\n"))).problem).toBe("The file refers to itself too often.");
});
