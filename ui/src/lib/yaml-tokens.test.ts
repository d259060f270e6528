// biome-ignore-all lint/suspicious/noTemplateCurlyInString: flows write placeholders like that
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { yamlTokens } from "./yaml-tokens";

const kinds = (text: string) =>
  yamlTokens(text.split("\n")).map((line) =>
    line
      .filter((token) => token.text.trim() !== "")
      .map((token) => `${token.kind} ${token.text}`)
      .join(" | "),
  );

test.each([
  ["flow:", ["key flow | sign :"]],
  ["  name: Place an order # why", ["key name | sign : | plain Place an order | comment # why"]],
  ["- action: http.request", ["sign - | key action | sign : | plain http.request"]],
  ["timeout: 30", ["key timeout | sign : | number 30"]],
  ["timeout: 30s", ["key timeout | sign : | plain 30s"]],
  ["ignore: true", ["key ignore | sign : | word true"]],
  ['url: "${API}/orders"', ['key url | sign : | string " | placeholder ${API} | string /orders"']],
  ["total: ${total}", ["key total | sign : | placeholder ${total}"]],
  ["{sku: TEA-001, qty: 2}", ["sign { | key sku | sign : | plain TEA-001 | sign , | key qty | sign : | number 2 | sign }"]],
  ["assert: [status == 201]", ["key assert | sign : | sign [ | plain status == 201 | sign ]"]],
  ["url: http://a.example/#top", ["key url | sign : | plain http://a.example/#top"]],
  [
    "message: |\n  key: no key ${n}\n\n  # no comment\nnext: 1",
    ["key message | sign : | sign |", "string   key: no key  | placeholder ${n}", "", "string   # no comment", "key next | sign : | number 1"],
  ],
])("%j", (text, want) => {
  expect(kinds(text)).toEqual(want);
});

test("every line of every example is there as it was", () => {
  const dir = join(import.meta.dirname, "../../../examples/flows");
  const files = readdirSync(dir).filter((name) => name.endsWith(".yaml"));
  expect(files.length).toBeGreaterThan(5);
  for (const name of files) {
    const lines = readFileSync(join(dir, name), "utf8").split("\n");
    expect(yamlTokens(lines).map((line) => line.map((token) => token.text).join(""))).toEqual(lines);
  }
});
