// CSV as RFC 4180 has it, with the line at which each record begins and at which a wrong
// one is wrong. A library was looked for: none says the line.

export interface CsvRecord {
  line: number;
  cells: string[];
}

export class CsvFault extends Error {
  constructor(
    readonly line: number,
    message: string,
  ) {
    super(message);
  }
}

// parseCsv reads at most so many records; more are not looked at.
export function parseCsv(text: string, most: number): CsvRecord[] {
  const records: CsvRecord[] = [];
  let at = 0;
  let line = 1;
  while (at < text.length && records.length < most) {
    const begins = line;
    const cells: string[] = [];
    for (;;) {
      const cell = readCell(text, at, line);
      cells.push(cell.text);
      line = cell.line;
      at = cell.end;
      if (text[at] !== ",") break;
      at++;
    }
    if (text[at] === "\r") at++;
    if (text[at] === "\n") at++;
    line++;
    if (cells.length > 1 || cells[0] !== "") records.push({ line: begins, cells }); // an empty line is no record
  }
  return records;
}

interface Cell {
  text: string;
  end: number;
  line: number;
}

function readCell(text: string, from: number, line: number): Cell {
  if (text[from] !== '"') {
    const end = endOfCell(text, from);
    const cell = text.slice(from, end);
    if (cell.includes('"')) throw new CsvFault(line, "a quote stands inside of a value that does not begin with one");
    return { text: cell, end, line };
  }
  let value = "";
  let at = from + 1;
  for (;;) {
    const quote = text.indexOf('"', at);
    if (quote < 0) throw new CsvFault(line, "a quote is opened and never closed");
    value += text.slice(at, quote);
    if (text[quote + 1] !== '"') {
      const end = endOfCell(text, quote + 1);
      const lines = line + (value.match(/\n/g)?.length ?? 0);
      if (end !== quote + 1) throw new CsvFault(lines, "something follows a closing quote");
      return { text: value, end, line: lines };
    }
    value += '"';
    at = quote + 2;
  }
}

function endOfCell(text: string, from: number): number {
  for (let at = from; at < text.length; at++) {
    const sign = text[at];
    if (sign === "," || sign === "\n" || (sign === "\r" && text[at + 1] === "\n")) return at;
  }
  return text.length;
}
