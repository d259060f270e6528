import assert from "node:assert/strict";
import { test } from "node:test";
import { Exact, parse, print } from "../src/testmesh/json.js";

const kept = [
  "12345678901234567890.10", "-0", "1e400", "1E3", "1.10", "0.1", "42", "9007199254740993", "null", '""',
  '{"a":[1.0,{"b":-1.50}],"c":"1.0"}', '{"__proto__":1.0}', '["\\\\",1.0]', '["a\\"1.0",2.0]', '["é😀",3.0]',
];

for (const text of kept) {
  test(`${text} comes back as it was`, () => assert.equal(print(parse(text)), text));
}

test("a number that survives is a number, any other is exact", () => {
  const { a, b } = parse('{"a":0.1,"b":1.10}') as { a: unknown; b: unknown };
  assert.equal(a, 0.1);
  assert.ok(b instanceof Exact);
  assert.equal(Number(b), 1.1);
  assert.equal(String(b), "1.10");
});

for (const text of ["{", "01", "1.", "[1.0.0]", "--1", '"\\x"', "", "1.0 2.0"]) {
  test(`${JSON.stringify(text)} is no JSON`, () => assert.throws(() => parse(text), SyntaxError));
}

test("what JSON cannot say is not printed", () => {
  assert.throws(() => print({ a: NaN }), /a is NaN/);
  assert.throws(() => print([Infinity]), /Infinity/);
  assert.throws(() => print(undefined as never), /no value/);
});

test("large numbers of JavaScript are printed whole", () => assert.equal(print([10n ** 30n]), `[1${"0".repeat(30)}]`));

test("ten megabytes of text take no time", () => {
  const text = JSON.stringify({ a: '"\\'.repeat(3 << 20), b: 1 });
  const began = performance.now();
  assert.equal(print(parse(text.replace(/1}$/, "1.0}"))).length, text.length + 2);
  assert.ok(performance.now() - began < 5000);
});
