import { CsvFault, parseCsv } from "./csv";
import { plural } from "./format";
import { isObject, parseJson } from "./json";
import { jsonFault, lineOf } from "./json-fault";

// Rows of a data file, as the language reads them: CSV, JSON, JSONL or YAML, by the end of
// the name. The server judges them once more; this is so that a mistake is seen at once.

export interface Rows {
  columns: string[];
  rows: Record<string, unknown>[];
}

export interface RowsRead extends Partial<Rows> {
  problem: string;
}

// The bounds are those of the language and of one request.
export const mostRows = 100_000;
export const mostBytes = 4 << 20;

const endings = ".csv, .json, .jsonl, .ndjson, .yaml, .yml";
export const acceptedFiles = endings.replaceAll(" ", "");

export async function readRows(name: string, text: string): Promise<RowsRead> {
  const plain = text.startsWith("\ufeff") ? text.slice(1) : text;
  if (plain.includes("\ufffd")) return { problem: `${name} is not UTF-8 text.` };
  const end = /\.[a-z]+$/i.exec(name)?.[0].toLowerCase() ?? "";
  if (end === ".csv") return readCsv(plain);
  if (end === ".json") return readJson(plain);
  if (end === ".jsonl" || end === ".ndjson") return readLines(plain);
  if (end === ".yaml" || end === ".yml") return readYaml(plain);
  return { problem: `Rows cannot be read from ${name || "a file without a name"}: they come from ${endings}.` };
}

function readCsv(text: string): RowsRead {
  try {
    const [head, ...records] = parseCsv(text, mostRows + 2);
    if (head === undefined) return { problem: "Line 1: there is no header with the names of the columns." };
    const columns = head.cells.map((cell) => cell.trim());
    const nameless = columns.indexOf("");
    if (nameless >= 0) return { problem: `Line ${head.line}: column ${nameless + 1} has no name.` };
    const twice = columns.find((column, i) => columns.indexOf(column) !== i);
    if (twice !== undefined) return { problem: `Line ${head.line}: there are two columns “${twice}”.` };
    const odd = records.find((record) => record.cells.length !== columns.length);
    if (odd !== undefined) return { problem: `Line ${odd.line}: the row has ${plural(odd.cells.length, "value")} for ${columns.length} columns.` };
    return bounded(
      columns,
      records.map((record) => Object.fromEntries(columns.map((column, i) => [column, record.cells[i]]))),
    );
  } catch (err) {
    if (err instanceof CsvFault) return { problem: `Line ${err.line}: ${err.message}.` };
    throw err;
  }
}

function readJson(text: string): RowsRead {
  const fault = faultOf(text, 0);
  return fault === "" ? listed(parseJson(text)) : { problem: fault };
}

function readLines(text: string): RowsRead {
  const rows: unknown[] = [];
  const lines = text.split("\n");
  for (const [i, line] of lines.entries()) {
    if (line.trim() === "") continue;
    const fault = faultOf(line, i);
    if (fault !== "") return { problem: fault };
    const row = parseJson(line);
    if (!isObject(row)) return { problem: `Line ${i + 1}: the row is no object of names and values.` };
    rows.push(row);
  }
  return listed(rows);
}

// faultOf says in a sentence where a text is not JSON; "" where it is.
function faultOf(text: string, linesBefore: number): string {
  try {
    JSON.parse(text);
    return "";
  } catch {
    const fault = jsonFault(text) ?? { at: 0, wanted: "JSON" };
    const found = text.slice(fault.at).trimStart().charAt(0);
    const line = linesBefore + lineOf(text, found === "" ? text.trimEnd().length : fault.at);
    return `Line ${line}: this is not JSON: ${found === "" ? "it ends" : `“${found}” stands`} where ${fault.wanted} should be.`;
  }
}

async function readYaml(text: string): Promise<RowsRead> {
  const { parseDocument } = await import("yaml"); // no other page needs it
  const doc = parseDocument(text, { uniqueKeys: true, version: "1.2", prettyErrors: true });
  const wrong = doc.errors[0];
  if (wrong !== undefined) {
    const says = wrong.message.split(/ at line \d+|\n/)[0] ?? "";
    return {
      problem: `Line ${wrong.linePos?.[0].line ?? 1}: this is not YAML: ${says.charAt(0).toLowerCase()}${says.slice(1).replace(/[.:]$/, "")}.`,
    };
  }
  try {
    return listed(doc.toJS({ maxAliasCount: 100 }));
  } catch {
    return { problem: "The file refers to itself too often." };
  }
}

function listed(value: unknown): RowsRead {
  if (value === null || value === undefined) return { problem: "There are no rows in it." };
  if (!Array.isArray(value)) return { problem: "Rows are a list of objects, one a row; this file holds something else." };
  const odd = value.findIndex((row) => !isObject(row));
  if (odd >= 0) return { problem: `Row ${odd + 1} is no object of names and values.` };
  const columns = new Set<string>();
  for (const row of value) for (const name of Object.keys(row)) columns.add(name);
  return bounded([...columns], value);
}

function bounded(columns: string[], rows: Record<string, unknown>[]): RowsRead {
  if (rows.length === 0) return { problem: "There are no rows in it: nothing would run." };
  if (rows.length > mostRows) return { problem: `There are more than ${mostRows.toLocaleString("en")} rows in it, which is the limit.` };
  return { problem: "", columns, rows };
}
