import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "../src/testmesh/json.js";
import { wrong, type Schema } from "../src/testmesh/schema.js";

const schema: Schema = {
  type: "object",
  required: ["name"],
  additionalProperties: false,
  properties: {
    name: { type: "string" },
    kind: { type: "string", enum: ["a", "b"] },
    count: { type: "integer" },
    share: { type: "number" },
    list: { type: "array", items: { type: "object", required: ["id"], properties: { id: { type: "integer" } } } },
    any: {},
  },
};

const configs: [config: string, field: string | undefined, message?: string][] = [
  ['{"name":"x"}', undefined],
  ['{"name":"x","kind":"a","count":3,"share":0.5,"list":[{"id":1}],"any":[null]}', undefined],
  ['{"name":"x","count":3.0,"share":1.10}', undefined],
  ["{}", "name", "name is missing"],
  ['{"name":1}', "name", "name takes a text"],
  ['{"name":null}', "name", "name takes a text"],
  ['{"name":"x","kind":"c"}', "kind", "kind takes one of a, b"],
  ['{"name":"x","count":1.5}', "count", "count takes an integer"],
  ['{"name":"x","count":"1"}', "count", "count takes an integer"],
  ['{"name":"x","list":{}}', "list", "list takes a list"],
  ['{"name":"x","list":[{"id":1},{}]}', "list.1.id", "list.1.id is missing"],
  ['{"name":"x","nmae":"y"}', "nmae", "there is no key nmae"],
  ['{"name":"x","toString":"y"}', "toString", "there is no key toString"],
  ["[]", "", "the config takes an object"],
  ["1.0", "", "the config takes an object"],
];

for (const [config, field, message] of configs) {
  test(`${config}: ${message ?? "nothing is wrong"}`, () => {
    assert.deepEqual(wrong(parse(config), schema), field === undefined ? undefined : { field, message });
  });
}
