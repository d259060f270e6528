// The little of JSON Schema that gives a wrong config a fault with its field.
// The host has checked a config against the whole schema before it comes here;
// this is for hosts that have not. Keywords that are not named below are not
// looked at.
import { Exact, type Json, type JsonObject } from "./json.js";

/** A JSON Schema (2020-12); what is looked at here is type, enum, required,
 * properties, additionalProperties: false and items. */
export interface Schema {
  [keyword: string]: unknown;
  type?: string;
  enum?: readonly Json[];
  required?: readonly string[];
  properties?: Record<string, Schema>;
  additionalProperties?: boolean;
  items?: Schema;
}

/** What is wrong, and the key that is, with dots. */
export interface Wrong {
  field: string;
  message: string;
}

/** Finds the first thing that is wrong with a value. */
export function wrong(value: Json, schema: Schema, field = ""): Wrong | undefined {
  const say = (message: string): Wrong => ({ field, message: `${field || "the config"} ${message}` });
  if (schema.type !== undefined && !is(value, schema.type)) return say(`takes ${article(schema.type)}`);
  if (schema.enum && !schema.enum.includes(value)) return say(`takes one of ${schema.enum.join(", ")}`);
  if (Array.isArray(value) && schema.items) {
    for (const [i, item] of value.entries()) {
      const found = wrong(item, schema.items, join(field, String(i)));
      if (found) return found;
    }
  }
  if (!isObject(value)) return undefined;
  for (const key of schema.required ?? []) {
    if (!Object.hasOwn(value, key)) return { field: join(field, key), message: `${join(field, key)} is missing` };
  }
  for (const [key, item] of Object.entries(value)) {
    const known = schema.properties && Object.hasOwn(schema.properties, key) ? schema.properties[key] : undefined;
    const at = join(field, key);
    if (!known && schema.additionalProperties === false) return { field: at, message: `there is no key ${at}` };
    const found = known && wrong(item, known, at);
    if (found) return found;
  }
  return undefined;
}

/** Whether a value is an object of JSON, and no list and no number. */
export function isObject(value: Json): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Exact);
}

function is(value: Json, type: string): boolean {
  switch (type) {
    case "object":
      return isObject(value);
    case "array":
      return Array.isArray(value);
    case "null":
      return value === null;
    case "integer":
      return Number.isInteger(value) || (value instanceof Exact && Number.isInteger(Number(value)));
    case "number":
      return typeof value === "number" || value instanceof Exact;
    default:
      return typeof value === type;
  }
}

function article(type: string): string {
  return type === "array" ? "a list" : /^[aeiou]/.test(type) ? `an ${type}` : type === "string" ? "a text" : `a ${type}`;
}

function join(field: string, key: string): string {
  return field ? `${field}.${key}` : key;
}
