// JSON as it was sent: a number that a double cannot hold, or would print otherwise,
// keeps its text. 59.80 is shown as 59.80.

export class Exact {
  constructor(readonly text: string) {}
}

export type Json = null | boolean | number | string | Exact | Json[] | { [key: string]: Json };

interface Source {
  source?: string;
}

type SourceReviver = (this: unknown, key: string, value: unknown, context?: Source) => unknown;

// risky finds what may hold such a number, so that everything else is parsed at full speed.
const risky = /\d{16}|\d\.\d*0(?!\d)|\d\.\d{15}|\d[eE]|-0/;

const keepText: SourceReviver = (_key, value, context) =>
  typeof value === "number" && context?.source !== undefined && String(value) !== context.source ? new Exact(context.source) : value;

export function parseJson(text: string): unknown {
  if (!risky.test(text)) return JSON.parse(text);
  return JSON.parse(text, keepText as (key: string, value: unknown) => unknown);
}

// parseBody gives the data of a body that is JSON, undefined of one that is not.
export function parseBody(text: string): Json | undefined {
  const first = text.trimStart().charAt(0);
  if (first !== "{" && first !== "[") return undefined;
  try {
    return parseJson(text) as Json;
  } catch {
    return undefined;
  }
}

export function isObject(value: unknown): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Exact);
}

// printJson writes a value as JSON, exact numbers as they came.
export function printJson(value: unknown, indent = "  "): string {
  return print(value, "", indent);
}

function print(value: unknown, at: string, indent: string): string {
  if (value instanceof Exact) return value.text;
  const [open, close, parts] = Array.isArray(value)
    ? ["[", "]", value.map((one) => print(one, at + indent, indent))]
    : isObject(value)
      ? ["{", "}", Object.entries(value).map(([key, one]) => `${JSON.stringify(key)}: ${print(one, at + indent, indent)}`)]
      : ["", "", []];
  if (open === "") return JSON.stringify(value) ?? "null";
  if (parts.length === 0) return open + close;
  const line = `\n${at}${indent}`;
  return `${open}${line}${parts.join(`,${line}`)}\n${at}${close}`;
}

// brief is a value on one line, cut at a length.
export function brief(value: unknown, length = 120): string {
  const text = typeof value === "string" ? JSON.stringify(value) : print(value, "", "").replaceAll("\n", "");
  return text.length > length ? `${text.slice(0, length)}…` : text;
}
