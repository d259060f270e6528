import { type JsonValue, toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import type { FlowInput } from "../gen/testmesh/api/v1/record_pb";
import { brief, isObject, parseJson, printJson } from "./json";
import { jsonFault, lineOf } from "./json-fault";

// The inputs of flows as a form: what each asks for, and whether what was typed is that.
// The server judges it once more; this is so that a mistake is seen where it is made.

export interface FormInput {
  name: string;
  type: string;
  description: string;
  secret: boolean;
  // The texts to choose from; empty: whatever the type allows.
  enum: string[];
  // What stands where nothing is typed; null: something must be typed.
  preset: string | null;
  // The flows that declare it.
  flows: string[];
  // They do not agree on its type.
  mixed: boolean;
}

// formInputs are the inputs of all flows that are chosen, each name once.
export function formInputs(flows: readonly { name: string; inputs: readonly FlowInput[] }[]): FormInput[] {
  const form = new Map<string, FormInput>();
  for (const flow of flows) {
    for (const input of flow.inputs) {
      const one = formInput(input, flow.name);
      const known = form.get(input.name);
      if (known === undefined) {
        form.set(input.name, one);
        continue;
      }
      known.flows.push(flow.name);
      known.mixed ||= known.type !== one.type;
      if (one.preset === null) known.preset = null;
      known.secret ||= one.secret;
    }
  }
  return [...form.values()];
}

function formInput(input: FlowInput, flow: string): FormInput {
  const preset = input.default === undefined ? null : textOf(toJson(ValueSchema, input.default));
  return {
    name: input.name,
    type: input.type === "" ? "any" : input.type,
    description: input.description,
    secret: input.secret,
    enum: input.enum.map((value) => textOf(toJson(ValueSchema, value))),
    // The default of a secret is never told: only the flow knows whether there is one.
    preset: preset ?? (input.secret && !input.required ? "" : null),
    flows: [flow],
    mixed: false,
  };
}

function textOf(value: JsonValue): string {
  return typeof value === "string" ? value : printJson(value, "").replaceAll("\n", "");
}

const number = /^[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$/;
const integer = /^[-+]?\d+(?:\.0*)?$/;

// checkInput says what is wrong with the text of an input; given says whether rows bring it.
export function checkInput(input: FormInput, text: string, given: boolean): string {
  if (text === "") return input.preset === null && !given ? `${input.name} has no value and no default.` : "";
  if (input.mixed) return ""; // each flow judges it
  const plain = text.trim();
  switch (input.type) {
    case "number":
      return number.test(plain) ? "" : `${brief(text, 40)} is no number.`;
    case "integer":
      return integer.test(plain) ? "" : `${brief(text, 40)} is no whole number.`;
    case "boolean":
      return plain === "true" || plain === "false" ? "" : `${brief(text, 40)} is neither true nor false.`;
    case "array":
    case "object":
      return checkJson(input.type, text);
    default:
      return "";
  }
}

function checkJson(type: "array" | "object", text: string): string {
  const fault = jsonFault(text);
  if (fault !== null) {
    const found = text.slice(fault.at).trimStart().charAt(0);
    return `Line ${lineOf(text, fault.at)}: ${found === "" ? "it ends" : `“${found}” stands`} where ${fault.wanted} should be.`;
  }
  const value = parseJson(text);
  if (type === "array") return Array.isArray(value) ? "" : "This is no list: write one as [1, 2].";
  return isObject(value) ? "" : 'This is no object: write one as {"name": "value"}.';
}
