// Where a text stops being JSON. The parser of a browser does not always say so; this
// reads a text that was refused once more, and only finds the place.

export interface JsonFault {
  at: number;
  wanted: string;
}

const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what a text of JSON may not hold
const string = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const space = /[ \t\n\r]*/y;
const words = ["true", "false", "null"];

class Reader {
  at = 0;

  constructor(readonly text: string) {}

  skip(): void {
    this.match(space);
  }

  match(pattern: RegExp): boolean {
    pattern.lastIndex = this.at;
    if (!pattern.test(this.text)) return false;
    this.at = pattern.lastIndex;
    return true;
  }

  take(sign: string): boolean {
    if (!this.text.startsWith(sign, this.at)) return false;
    this.at += sign.length;
    return true;
  }
}

class Fault extends Error {}

export function jsonFault(text: string): JsonFault | null {
  const reader = new Reader(text);
  try {
    value(reader);
    reader.skip();
    if (reader.at < text.length) throw new Fault("the end");
    return null;
  } catch (err) {
    if (!(err instanceof Fault)) return { at: reader.at, wanted: "less nesting" }; // the stack
    return { at: reader.at, wanted: err.message };
  }
}

function value(reader: Reader): void {
  reader.skip();
  if (reader.take("{")) members(reader, "}", true);
  else if (reader.take("[")) members(reader, "]", false);
  else if (reader.text[reader.at] === '"') {
    if (!reader.match(string)) throw new Fault("a text that ends on its line");
  } else if (!reader.match(number) && !words.some((one) => reader.take(one))) {
    throw new Fault("a value");
  }
}

function members(reader: Reader, close: string, named: boolean): void {
  reader.skip();
  if (reader.take(close)) return;
  for (;;) {
    if (named) {
      reader.skip();
      if (!reader.match(string)) throw new Fault("a name in double quotes");
      reader.skip();
      if (!reader.take(":")) throw new Fault("a colon");
    }
    value(reader);
    reader.skip();
    if (reader.take(close)) return;
    if (!reader.take(",")) throw new Fault(`a comma or ${close}`);
  }
}

// lineOf is the line of a place in a text, from 1.
export function lineOf(text: string, at: number): number {
  let line = 1;
  for (let i = text.indexOf("\n"); i >= 0 && i < at; i = text.indexOf("\n", i + 1)) line++;
  return line;
}
