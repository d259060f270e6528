import { expect, test } from "vitest";
import type { FormInput } from "../../lib/inputs";
import { emptyDraft, problemsOf, type QueueDraft, requestOf } from "./queue-draft";

const input = (name: string, type: string, rest: Partial<FormInput> = {}): FormInput => ({
  name,
  type,
  description: "",
  secret: false,
  enum: [],
  preset: null,
  flows: ["f"],
  mixed: false,
  ...rest,
});
const draft = (rest: Partial<QueueDraft> = {}): QueueDraft => ({ ...emptyDraft, flows: [{ file: "a.yaml", index: 1, name: "f" }], ...rest });

test("values keep their digits, and only what has no type brings one", () => {
  const form = [input("n", "number"), input("text", "string"), input("any", "any"), input("word", "any"), input("left", "string", { preset: "x" })];
  const request = requestOf(draft({ inputs: { n: " 12345678901234567890 ", text: " kept ", any: "[1]", word: "true-ish", left: "" } }), form, {});
  expect(request.source?.vars).toEqual({ n: "12345678901234567890", text: " kept ", word: "true-ish" });
  expect(request.source?.inputs).toEqual({ any: [1] });
  expect(request.stored).toEqual({ flows: [{ file: "a.yaml", index: 1 }] });
  expect(request.rows).toBeUndefined();
});

test("a secret comes from beside the draft", () => {
  const form = [input("pin", "string", { secret: true })];
  expect(requestOf(draft({ inputs: { pin: "of the draft" } }), form, { pin: "1234" }).source?.vars).toEqual({ pin: "1234" });
});

test("where, how and which rows", () => {
  const request = requestOf(
    draft({
      by: "tags",
      tags: " smoke ",
      environment: "staging",
      labels: "zone=eu-1,eu-2 trust!=low",
      iterations: "5",
      parallelism: "2",
      priority: 4,
      stop: true,
      data: { name: "rows.csv", text: "a\n1\n" },
    }),
    [],
    {},
  );
  expect(request.stored).toEqual({ tags: "smoke" });
  expect(request.source).toMatchObject({ environment: "staging", iterations: 5, repeat: 0, parallelism: 2, priority: 4, stopOnFailure: true });
  expect(request.source?.target).toEqual({ match: { zone: { values: ["eu-1", "eu-2"] } }, not: { trust: { values: ["low"] } } });
  expect(new TextDecoder().decode(request.rows?.content)).toBe("a\n1\n");
});

test.each<[string, Partial<QueueDraft>, [string, string][]]>([
  ["nothing chosen", { flows: [] }, [["flows", "Choose a flow."]]],
  ["no expression", { by: "tags" }, [["flows", "Write a tag expression, as smoke && !slow."]]],
  ["a wrong label", { labels: "zone" }, [["labels", "“zone” is no label: write name=value, as zone=eu-1."]]],
  [
    "no count",
    { iterations: "many", repeat: "0" },
    [
      ["iterations", "Write a whole number from 1."],
      ["repeat", "Write a whole number from 1."],
    ],
  ],
  ["too often", { repeat: "10001" }, [["repeat", "At most 10,000."]]],
  ["all is well", { iterations: "3" }, []],
])("%s", (_name, rest, want) => {
  expect([...problemsOf(draft(rest), [], {}, [])]).toEqual(want);
});

test("an input is wanted, unless the rows bring it", () => {
  const form = [input("sku", "string")];
  expect([...problemsOf(draft(), form, {}, []).keys()]).toEqual(["input sku"]);
  expect([...problemsOf(draft(), form, {}, ["sku"])]).toEqual([]);
});
