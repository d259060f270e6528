// JSON whose numbers stay as they were written: 1.10, 1e3 and the thirty digits
// of an id come back digit by digit. It never rounds, and never prints what is
// no JSON (NaN).
import { randomUUID } from "node:crypto";

/** What JSON can say. */
export type Json = null | boolean | number | bigint | string | Exact | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json;
}

/** A number that a JavaScript number would print otherwise than it was written. */
export class Exact {
  constructor(readonly text: string) {}
  valueOf(): number {
    return Number(this.text);
  }
  toString(): string {
    return this.text;
  }
  toJSON(): string {
    return mark + this.text;
  }
}

// mark makes a text of a number on its way through JSON.parse and
// JSON.stringify. No text of a flow can hold it: it is of this process alone.
const mark = `${randomUUID()}:`;
const marked = new RegExp(`"${mark}([^"]*)"`, "g");

/** Reads JSON; a number that does not survive a JavaScript number is an Exact. */
export function parse(text: string): Json {
  const safe = markNumbers(text);
  if (safe === text) return JSON.parse(text) as Json;
  return JSON.parse(safe, (_, value: unknown) =>
    typeof value === "string" && value.startsWith(mark) ? new Exact(value.slice(mark.length)) : value,
  ) as Json;
}

/** Prints a value as JSON, exact numbers verbatim. */
export function print(value: Json): string {
  const text = JSON.stringify(value, (key, v: unknown) => {
    if (typeof v === "bigint") return mark + v.toString();
    if (typeof v === "number" && !Number.isFinite(v)) throw new TypeError(`${key || "the value"} is ${v}, which JSON cannot say`);
    return v;
  });
  if (text === undefined) throw new TypeError("there is no value to print");
  return text.includes(mark) ? text.replace(marked, "$1") : text;
}

/** The text of bytes, and bytes as a Buffer, without a copy of them. */
export function textOf(bytes: Uint8Array): string {
  return view(bytes).toString();
}
export function view(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Puts every number that would not survive into a marked text. */
function markNumbers(text: string): string {
  let out = "";
  let done = 0;
  for (let i = 0; i < text.length; ) {
    const c = text.charCodeAt(i);
    if (c === 0x22) {
      i = afterString(text, i);
    } else if (c === 0x2d || (c >= 0x30 && c <= 0x39)) {
      const start = i;
      while (i < text.length && numeric(text.charCodeAt(i))) i++;
      const written = text.slice(start, i);
      // What is no number is left to JSON.parse, which says where.
      if (String(Number(written)) !== written && /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(written)) {
        out += `${text.slice(done, start)}"${mark}${written}"`;
        done = i;
      }
    } else {
      i++;
    }
  }
  return done === 0 ? text : out + text.slice(done);
}

function afterString(text: string, at: number): number {
  for (let i = at + 1; ; ) {
    const quote = text.indexOf('"', i);
    if (quote < 0) return text.length;
    let slashes = 0;
    while (text.charCodeAt(quote - 1 - slashes) === 0x5c) slashes++;
    i = quote + 1;
    if (slashes % 2 === 0) return i;
  }
}

function numeric(c: number): boolean {
  // 0-9 + - . E e
  return (c >= 0x30 && c <= 0x39) || c === 0x2b || c === 0x2d || c === 0x2e || c === 0x45 || c === 0x65;
}
