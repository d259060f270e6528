import type { JsonObject, JsonValue, MessageInitShape } from "@bufbuild/protobuf";
import type { CreateBatchRequestSchema } from "../../gen/testmesh/api/v1/api_pb";
import { checkInput, type FormInput } from "../../lib/inputs";
import { isEmpty, parseSelector } from "../../lib/selector";

// What a person fills in to queue runs, as it was typed.

export interface ChosenFlow {
  file: string;
  index: number;
  name: string;
}

export interface QueueDraft {
  by: "flows" | "tags";
  flows: ChosenFlow[];
  tags: string;
  environment: string;
  labels: string;
  // By the names of the inputs; nothing typed is the default.
  inputs: Record<string, string>;
  data: { name: string; text: string } | null;
  iterations: string;
  repeat: string;
  parallelism: string;
  priority: number;
  stop: boolean;
  // The key of the last try to queue this, and what was tried: a try that is repeated is
  // the same wish, and is queued once.
  key: string;
  keyOf: string;
}

export const emptyDraft: QueueDraft = {
  by: "flows",
  flows: [],
  tags: "",
  environment: "",
  labels: "",
  inputs: {},
  data: null,
  iterations: "",
  repeat: "",
  parallelism: "",
  priority: 2,
  stop: false,
  key: "",
  keyOf: "",
};

export const priorities = [
  { value: 0, word: "lowest" },
  { value: 1, word: "low" },
  { value: 2, word: "normal" },
  { value: 3, word: "high" },
  { value: 4, word: "highest" },
];

const mostTimes = 10_000;

export function checkCount(text: string): string {
  if (text.trim() === "") return "";
  const n = Number(text);
  if (!Number.isInteger(n) || n < 1) return "Write a whole number from 1.";
  return n > mostTimes ? `At most ${mostTimes.toLocaleString("en")}.` : "";
}

// problemsOf says by field what keeps a draft from being queued.
export function problemsOf(
  draft: QueueDraft,
  form: readonly FormInput[],
  secrets: Record<string, string>,
  columns: readonly string[],
): Map<string, string> {
  const problems = new Map<string, string>();
  const say = (field: string, problem: string) => {
    if (problem !== "") problems.set(field, problem);
  };
  if (draft.by === "flows" && draft.flows.length === 0) say("flows", "Choose a flow.");
  if (draft.by === "tags" && draft.tags.trim() === "") say("flows", "Write a tag expression, as smoke && !slow.");
  say("labels", parseSelector(draft.labels).problem);
  for (const input of form) {
    const text = (input.secret ? secrets : draft.inputs)[input.name] ?? "";
    say(`input ${input.name}`, checkInput(input, text, columns.includes(input.name)));
  }
  for (const field of ["iterations", "repeat", "parallelism"] as const) say(field, checkCount(draft[field]));
  return problems;
}

// targetOf is what the labels ask for; undefined: the targets of the flows hold.
export function targetOf(labels: string) {
  const { selector, problem } = parseSelector(labels);
  if (problem !== "" || isEmpty(selector)) return undefined;
  const values = (map: Record<string, string[]>) => Object.fromEntries(Object.entries(map).map(([name, list]) => [name, { values: list }]));
  return { match: values(selector.match), not: values(selector.not) };
}

export function storedOf(draft: QueueDraft) {
  return draft.by === "flows" ? { flows: draft.flows.map(({ file, index }) => ({ file, index })) } : { tags: draft.tags.trim() };
}

export type BatchRequest = Omit<Extract<MessageInitShape<typeof CreateBatchRequestSchema>, { $typeName?: never }>, "idempotencyKey">;

// requestOf is the call that queues a draft, which has no problems.
export function requestOf(draft: QueueDraft, form: readonly FormInput[], secrets: Record<string, string>): BatchRequest {
  const vars: Record<string, string> = {};
  const inputs: JsonObject = {};
  for (const input of form) {
    const text = (input.secret ? secrets : draft.inputs)[input.name] ?? "";
    if (text === "") continue;
    // A text is converted to the type of its input, and loses no digit on the way; only
    // what has no type must bring one.
    const typed = input.type === "any" ? typedValue(text) : undefined;
    if (typed === undefined) vars[input.name] = input.type === "string" || input.type === "any" ? text : text.trim();
    else inputs[input.name] = typed;
  }
  return {
    stored: storedOf(draft),
    source: {
      environment: draft.environment,
      vars,
      ...(Object.keys(inputs).length > 0 ? { inputs } : {}),
      target: targetOf(draft.labels),
      iterations: Number(draft.iterations),
      repeat: Number(draft.repeat),
      parallelism: Number(draft.parallelism),
      priority: draft.priority,
      stopOnFailure: draft.stop,
      trigger: "the page",
    },
    ...(draft.data === null ? {} : { rows: { name: draft.data.name, content: new TextEncoder().encode(draft.data.text) } }),
  };
}

function typedValue(text: string): JsonValue | undefined {
  try {
    const value = JSON.parse(text) as JsonValue;
    return typeof value === "string" ? undefined : value;
  } catch {
    return undefined;
  }
}
