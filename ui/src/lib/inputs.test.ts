import { create, fromJson, type JsonValue } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { FlowInputSchema } from "../gen/testmesh/api/v1/record_pb";
import { checkInput, formInputs } from "./inputs";

const value = (json: JsonValue) => fromJson(ValueSchema, json);
const declared = (init: { name: string; type?: string; required?: boolean; secret?: boolean; preset?: JsonValue; of?: JsonValue[] }) =>
  create(FlowInputSchema, {
    name: init.name,
    type: init.type ?? "string",
    required: init.required ?? false,
    secret: init.secret ?? false,
    ...(init.preset === undefined ? {} : { default: value(init.preset) }),
    enum: init.of?.map(value) ?? [],
  });
const one = (type: string, preset?: JsonValue) => {
  const [input] = formInputs([{ name: "f", inputs: [declared({ name: "x", type, preset })] }]);
  if (input === undefined) throw new Error("no input");
  return input;
};

test("an input of several flows is asked for once", () => {
  const form = formInputs([
    {
      name: "a",
      inputs: [declared({ name: "role", preset: "viewer", of: ["viewer", "admin"] }), declared({ name: "n", type: "integer", preset: 3 })],
    },
    { name: "b", inputs: [declared({ name: "role" }), declared({ name: "n", type: "string", preset: "x" })] },
  ]);
  expect(form).toMatchObject([
    { name: "role", flows: ["a", "b"], enum: ["viewer", "admin"], preset: null, mixed: false },
    { name: "n", flows: ["a", "b"], preset: "3", mixed: true },
  ]);
});

test("the default of a secret is not known, and not asked for where the flow does not require one", () => {
  const form = formInputs([
    { name: "a", inputs: [declared({ name: "token", secret: true }), declared({ name: "pin", secret: true, required: true })] },
  ]);
  expect(form.map((input) => input.preset)).toEqual(["", null]);
});

test.each([
  ["string", "", "x has no value and no default."],
  ["string", " ", ""],
  ["number", "59.80", ""],
  ["number", " -1e3 ", ""],
  ["number", "12a", '"12a" is no number.'],
  ["integer", "12345678901234567890", ""],
  ["integer", "1.5", '"1.5" is no whole number.'],
  ["boolean", "true", ""],
  ["boolean", "yes", '"yes" is neither true nor false.'],
  ["array", "[1, 2]", ""],
  ["array", '{"a": 1}', "This is no list: write one as [1, 2]."],
  ["array", "[1,\n2", "Line 2: it ends where a comma or ] should be."],
  ["object", '{"a": 1}', ""],
  ["object", "[1]", 'This is no object: write one as {"name": "value"}.'],
  ["object", "{a: 1}", "Line 1: “a” stands where a name in double quotes should be."],
  ["any", "anything", ""],
])("%s from %j", (type, text, problem) => {
  expect(checkInput(one(type), text, false)).toBe(problem);
});

test("nothing is asked for where there is a default, or rows bring it", () => {
  expect(checkInput(one("integer", 3), "", false)).toBe("");
  expect(checkInput(one("integer"), "", true)).toBe("");
});
