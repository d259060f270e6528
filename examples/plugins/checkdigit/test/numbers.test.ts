import assert from "node:assert/strict";
import { test } from "node:test";
import { digitsOf, fill, schemes } from "../src/numbers.js";

const numbers: { name: string; scheme: keyof typeof schemes; number: string; right: boolean }[] = [
  { name: "a card", scheme: "luhn", number: "4111111111111111", right: true },
  { name: "a card with two digits swapped", scheme: "luhn", number: "4111111111111141", right: false },
  { name: "an odd number of digits", scheme: "luhn", number: "79927398713", right: true },
  { name: "zeros", scheme: "luhn", number: "00", right: true },
  { name: "one digit", scheme: "luhn", number: "0", right: false },
  { name: "no number", scheme: "luhn", number: "", right: false },
  { name: "letters", scheme: "luhn", number: "4111x", right: false },
  { name: "a German account", scheme: "iban", number: "DE89370400440532013000", right: true },
  { name: "a British account", scheme: "iban", number: "GB82WEST12345698765432", right: true },
  { name: "a wrong check digit", scheme: "iban", number: "DE88370400440532013000", right: false },
  { name: "too short", scheme: "iban", number: "DE8937040", right: false },
  { name: "no country", scheme: "iban", number: "1289370400440532013000", right: false },
];

for (const n of numbers) {
  test(`${n.scheme}: ${n.name}`, () => assert.equal(schemes[n.scheme](n.number), n.right));
}

test("blanks and dashes do not count", () => {
  assert.equal(digitsOf("gb82 west-1234"), "GB82WEST1234");
});

test("a pattern is filled in order", () => {
  const all = [...fill("A?B?")];
  assert.equal(all.length, 100);
  assert.deepEqual([all[0], all[10], all[99]], ["A0B0", "A1B0", "A9B9"]);
  assert.deepEqual([...fill("12")], ["12"]);
});
