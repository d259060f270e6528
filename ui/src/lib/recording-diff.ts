import type { Change } from "./events";
import { Exact, isObject, type Json, parseBody } from "./json";
import type { Recording, Step } from "./recording";

// What differs between two recordings of a flow: steps are paired by where they stand in
// it, and of a pair what was sent, what came back, and what became of it.

export interface Difference {
  // What differs: "Request", "Response", "Outputs", "Error".
  name: string;
  changes: Change[];
  more: number;
}

export interface StepPair {
  key: string;
  before: Step | undefined;
  after: Step | undefined;
  differences: Difference[];
}

// mostChanges is how many of one part are listed, mostNodes how much of it is looked at.
const mostChanges = 20;
const mostNodes = 100_000;

// volatile are headers that differ with every answer, and so say nothing.
const volatile = new Set([
  "date",
  "age",
  "expires",
  "etag",
  "set-cookie",
  "cookie",
  "x-request-id",
  "x-correlation-id",
  "traceparent",
  "x-testmesh-run",
]);

// compareRecordings lists the steps that differ, in the order of the flow as it is now; those that are
// only in the recording before come last. Both pass as alike where their durations alone differ.
export function compareRecordings(before: Recording, after: Recording): { pairs: StepPair[]; alike: number } {
  const pairs: StepPair[] = [];
  let alike = 0;
  const put = (a: Step | undefined, b: Step | undefined) => {
    const differences = a === undefined || b === undefined ? [] : differencesOf(a, b);
    if (a?.status === b?.status && differences.length === 0) alike++;
    else pairs.push({ key: (b ?? a)?.key ?? "", before: a, after: b, differences });
  };
  for (const step of inOrder(after)) if (!step.group) put(steps(before, step.key), step);
  for (const step of inOrder(before)) if (!step.group && steps(after, step.key) === undefined) put(step, undefined);
  return { pairs, alike };
}

function steps(recording: Recording, key: string): Step | undefined {
  const step = recording.steps.get(key);
  return step?.group ? undefined : step;
}

function inOrder(recording: Recording): Step[] {
  const list: Step[] = [];
  const walk = (keys: readonly string[]) => {
    for (const key of keys) {
      const step = recording.steps.get(key);
      if (step === undefined) continue;
      list.push(step);
      walk(step.children);
    }
  };
  walk(recording.roots);
  return list;
}

function differencesOf(a: Step, b: Step): Difference[] {
  const [last, now] = [a.tries.at(-1), b.tries.at(-1)];
  const [sent, sends] = [last?.exchanges.at(-1), now?.exchanges.at(-1)];
  const wrong = (step: Step) => {
    const one = step.tries.at(-1);
    const claim = one?.assertions.find((assertion) => !assertion.passed);
    return one?.error?.message ?? claim?.message ?? claim?.expression ?? (step.reason || undefined);
  };
  const parts: [string, unknown, unknown][] = [
    ["Why", wrong(a), wrong(b)],
    ["Request", plain(sent?.request), plain(sends?.request)],
    ["Response", plain(sent?.response), plain(sends?.response)],
    ["Outputs", a.outputs, b.outputs],
    ["Tries", a.tries.length, b.tries.length],
  ];
  if (sent === undefined && sends === undefined) parts.push(["Result", a.result, b.result]);
  return parts.flatMap(([name, before, after]) => {
    const { changes, more } = diffJson(before as Json | undefined, after as Json | undefined);
    return changes.length === 0 ? [] : [{ name, changes, more }];
  });
}

// plain is a request or response as data: a body that is JSON as what it says, and
// without the headers that are never the same.
function plain(value: Json | undefined): Json | undefined {
  if (!isObject(value)) return value;
  const out: { [key: string]: Json } = { ...value };
  if (typeof out.body === "string") out.body = parseBody(out.body) ?? out.body;
  if (isObject(out.headers)) out.headers = Object.fromEntries(Object.entries(out.headers).filter(([name]) => !volatile.has(name.toLowerCase())));
  return out;
}

// diffJson lists what differs, by path, as the command line does.
export function diffJson(before: Json | undefined, after: Json | undefined, most = mostChanges): { changes: Change[]; more: number } {
  const changes: Change[] = [];
  let more = 0;
  let nodes = 0;
  const add = (path: string, a: Json | undefined, b: Json | undefined) => {
    if (changes.length >= most) more++;
    else changes.push({ path, ...(a === undefined ? {} : { expected: a }), ...(b === undefined ? {} : { actual: b }) });
  };
  const walk = (path: string, a: Json | undefined, b: Json | undefined) => {
    if (nodes++ > mostNodes) return;
    if (Array.isArray(a) && Array.isArray(b)) {
      for (let i = 0; i < Math.max(a.length, b.length); i++) walk(`${path}[${i}]`, a[i], b[i]);
    } else if (isObject(a) && isObject(b)) {
      for (const key of [...new Set([...Object.keys(a), ...Object.keys(b)])].sort()) walk(member(path, key), a[key], b[key]);
    } else if (!same(a, b)) add(path, a, b);
  };
  walk("$", before, after);
  return { changes, more };
}

function same(a: Json | undefined, b: Json | undefined): boolean {
  if (a instanceof Exact || b instanceof Exact) return number(a) === number(b) && number(a) !== undefined;
  if (typeof a === "object" && typeof b === "object" && a !== null && b !== null) {
    return Array.isArray(a) === Array.isArray(b) && Object.keys(a).length === 0 && Object.keys(b).length === 0;
  }
  return a === b;
}

// number is a number as a text, without the zeros that are worth nothing.
function number(value: Json | undefined): string | undefined {
  const text = value instanceof Exact ? value.text : typeof value === "number" ? String(value) : undefined;
  return text?.replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
}

function member(path: string, key: string): string {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`;
}
