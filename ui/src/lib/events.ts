import { type Json, parseJson } from "./json";

// The events of a run as docs/events.md has them, as far as the page shows them.

export type StepStatus = "running" | "passed" | "failed" | "errored" | "skipped" | "cancelled";

export interface Operand {
  text: string;
  value?: Json;
  missing?: string;
  error?: string;
}

export interface Change {
  path: string;
  expected?: Json;
  actual?: Json;
}

export interface Assertion {
  expression: string;
  implicit?: boolean;
  passed: boolean;
  errored?: boolean;
  message?: string;
  actual?: Json;
  expected?: Json;
  operands?: Operand[];
  diff?: Change[];
  diff_more?: number;
  line?: number;
}

export interface Failure {
  code: string;
  message: string;
  hint?: string;
  blame?: string;
  details?: string[];
  line?: number;
}

export interface Used {
  name: string;
  value: Json;
  origin?: string;
}

export interface Exchange {
  protocol?: string;
  summary?: string;
  request?: Json;
  response?: Json;
  timings?: Record<string, number>;
  curl?: string;
}

export interface StoredFile {
  name: string;
  media_type?: string;
  size: number;
  sha256: string;
}

export interface RunEvent extends Exchange {
  type: string;
  seq: number;
  time: string;
  attempt?: number;
  step_id?: string;
  name?: string;
  step_name?: string;
  action?: string;
  phase?: string;
  path?: string[];
  file?: string;
  line?: number;
  try?: number;
  level?: string;
  message?: string;
  data?: Json;
  status?: StepStatus;
  reason?: string;
  tries?: number;
  waited?: boolean;
  duration_ms?: number;
  ignored?: boolean;
  result?: Json;
  result_preview?: string;
  assertions?: Assertion[];
  outputs?: Record<string, Json>;
  error?: Failure;
  values?: Used[];
  next_in_ms?: number;
  resource_type?: string;
  resource_id?: string;
  media_type?: string;
  size?: number;
  sha256?: string;
  agent?: string;
}

// decodeEvent reads a line; null: it is none, and is passed over.
export function decodeEvent(line: string): RunEvent | null {
  try {
    // Most lines are a log's, which has no numbers of anybody's but in its data.
    const plain = line.includes('"type":"step.log"') && !line.includes('"data":');
    const event = (plain ? JSON.parse(line) : parseJson(line)) as RunEvent;
    return typeof event?.type === "string" ? event : null;
  } catch {
    return null;
  }
}

// LineReader cuts a stream into its lines, however the stream is cut into parts.
export class LineReader {
  private rest = "";

  take(part: string): string[] {
    const lines = (this.rest + part).split("\n");
    this.rest = lines.pop() ?? "";
    return lines;
  }
}
