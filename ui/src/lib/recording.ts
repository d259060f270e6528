import {
  type Assertion,
  decodeEvent,
  type Exchange,
  type Failure,
  LineReader,
  type RunEvent,
  type StepStatus,
  type StoredFile,
  type Used,
} from "./events";
import type { Json } from "./json";

// Recording is what the events of one attempt say, grown line by line. It stands outside
// of what React keeps: a run may have a million lines. What shows it is told of changes
// at most ten times a second.

export interface Try {
  number: number;
  status: StepStatus;
  began: number;
  ended?: number;
  assertions: Assertion[];
  error?: Failure;
  exchanges: Exchange[];
  nextInMs?: number;
}

export interface Step {
  key: string;
  id: string;
  name: string;
  action: string;
  phase: string;
  path: string[];
  line: number;
  file: string;
  status: StepStatus;
  reason: string;
  began: number;
  ended?: number;
  durationMs?: number;
  ignored: boolean;
  waited: boolean;
  tries: Try[];
  outputs?: Record<string, Json>;
  result?: Json;
  resultPreview?: string;
  values: Used[];
  files: StoredFile[];
  parent: string;
  children: string[];
  // A round or branch of a container, which has no events of its own.
  group: boolean;
}

export interface LogLine {
  // The event's number, and a line's within its message, from 0.
  seq: number;
  part: number;
  time: number;
  level: string;
  step: string;
  text: string;
}

const pace = 100;

// mostLines is what a browser can lay out one below the other: an element is at most 33
// million pixels high. `testmesh logs` has no such bound.
export const mostLines = 1_800_000;

// lineId is the address of a line: "12", "12.1".
export function lineId(line: LogLine): string {
  return line.part === 0 ? String(line.seq) : `${line.seq}.${line.part}`;
}

export class Recording {
  readonly steps = new Map<string, Step>();
  readonly roots: string[] = [];
  readonly log: LogLine[] = [];
  readonly files: (StoredFile & { step: string })[] = [];
  readonly orphans: string[] = [];
  // Lines past the bound, which are not in the log.
  lostLines = 0;
  began = 0;
  ended = 0;
  lastSeq = 0;
  version = 0;
  private reader = new LineReader();
  private readonly listeners = new Set<() => void>();
  private timer: ReturnType<typeof setTimeout> | undefined;

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  getVersion = (): number => this.version;

  append(text: string): void {
    for (const line of this.reader.take(text)) {
      const event = line === "" ? null : decodeEvent(line);
      if (event !== null) this.take(event);
    }
    this.changed();
  }

  // reset begins anew: another attempt.
  reset(): void {
    this.steps.clear();
    this.roots.length = this.log.length = this.files.length = this.orphans.length = 0;
    this.began = this.ended = this.lastSeq = this.lostLines = 0;
    this.reader = new LineReader();
    this.changed();
  }

  private changed(): void {
    if (this.timer !== undefined) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.version++;
      for (const listener of this.listeners) listener();
    }, pace);
  }

  private take(event: RunEvent): void {
    const time = Date.parse(event.time);
    this.lastSeq = event.seq;
    if (this.began === 0) this.began = time;
    switch (event.type) {
      case "run.finished":
        this.ended = time;
        return;
      case "step.started":
        this.line(event, time, "step", `▸ ${event.name || event.step_id}  ${event.action ?? ""}`);
        this.try(this.step(event, time), event, time);
        return;
      case "step.exchange":
        this.try(this.step(event, time), event, time).exchanges.push(event);
        return;
      case "step.log":
        this.line(event, time, event.level ?? "info", event.message ?? "");
        return;
      case "step.artifact":
        this.file(event, time);
        return;
      case "step.retrying":
        this.retrying(event, time);
        return;
      case "step.finished":
        this.finished(event, time);
        return;
      case "resource.orphaned":
        this.orphans.push([event.resource_type, event.resource_id, event.reason].filter(Boolean).join(" "));
    }
  }

  private line(event: RunEvent, time: number, level: string, text: string): void {
    const step = keyOf(event);
    const lines = text.replace(/\n+$/, "").split("\n");
    const room = Math.min(lines.length, mostLines - this.log.length);
    for (let part = 0; part < room; part++) this.log.push({ seq: event.seq, part, time, level, step, text: lines[part] ?? "" });
    this.lostLines += lines.length - room;
  }

  private file(event: RunEvent, time: number): void {
    const step = this.step(event, time);
    const file = { name: event.name ?? "", media_type: event.media_type, size: event.size ?? 0, sha256: event.sha256 ?? "" };
    step.files.push(file);
    this.files.push({ ...file, step: step.key });
  }

  private retrying(event: RunEvent, time: number): void {
    const one = this.try(this.step(event, time), event, time);
    one.status = event.status ?? "failed";
    one.ended = time;
    one.assertions = event.assertions ?? [];
    one.error = event.error;
    one.nextInMs = event.next_in_ms;
    this.line(
      event,
      time,
      "step",
      `↻ ${event.name || event.step_id}  try ${event.try ?? 1} ${one.status}${event.error ? `: ${event.error.message}` : ""}`,
    );
  }

  private finished(event: RunEvent, time: number): void {
    const step = this.step(event, time);
    const status = event.status ?? "errored";
    Object.assign(step, {
      status,
      reason: event.reason ?? "",
      ended: time,
      durationMs: event.duration_ms === undefined ? undefined : Number(event.duration_ms),
      ignored: event.ignored ?? false,
      waited: event.waited ?? false,
      outputs: event.outputs,
      result: event.result,
      resultPreview: event.result_preview,
      values: event.values ?? [],
    });
    if (status !== "skipped") {
      const one = this.try(step, event, time);
      one.status = status;
      one.ended = time;
      one.assertions = event.assertions ?? [];
      one.error = event.error;
    }
    const marks: Record<string, string> = { passed: "✓", failed: "✗", errored: "!", skipped: "○", cancelled: "○" };
    const why = event.error?.message ?? event.assertions?.find((a) => !a.passed)?.message ?? event.reason ?? "";
    this.line(
      event,
      time,
      status === "failed" || status === "errored" ? "error" : "step",
      `${marks[status] ?? ""} ${step.name}  ${status}${why ? `: ${why}` : ""}`,
    );
  }

  private try(step: Step, event: RunEvent, time: number): Try {
    const number = event.try ?? 1;
    let one = step.tries.find((t) => t.number === number);
    if (one === undefined) {
      // A try has no event of its beginning: it began when the pause after the one before was over.
      const before = step.tries.at(-1);
      const began = before?.ended === undefined ? time : Math.min(before.ended + (before.nextInMs ?? 0), time);
      one = { number, status: "running", began, assertions: [], exchanges: [] };
      step.tries.push(one);
    }
    return one;
  }

  // step finds the step of an event, and makes it, with what contains it, where it is new.
  private step(event: RunEvent, time: number): Step {
    const path = event.path ?? [event.step_id ?? "?"];
    const key = keyOf(event);
    let step = this.steps.get(key);
    if (step !== undefined && !step.group) return step;
    const known = step;
    step = {
      key,
      id: event.step_id ?? "",
      name: event.step_name || (event.type === "step.artifact" ? "" : event.name) || event.step_id || path.at(-1) || "",
      action: event.action ?? "",
      phase: event.phase ?? "steps",
      path,
      line: event.line ?? 0,
      file: event.file ?? "",
      status: "running",
      reason: "",
      began: time,
      ignored: false,
      waited: false,
      tries: [],
      values: [],
      files: [],
      parent: "",
      children: known?.children ?? [],
      group: false,
    };
    this.put(step, known !== undefined, time);
    return step;
  }

  private put(step: Step, known: boolean, time: number): void {
    this.steps.set(step.key, step);
    if (known) return;
    const container = this.container(step.phase, step.path);
    if (container === null) {
      this.roots.push(step.key);
      return;
    }
    step.parent = keyOf({ phase: step.phase, path: container });
    let parent = this.steps.get(step.parent);
    if (parent === undefined) {
      parent = {
        ...{
          key: step.parent,
          id: container.at(-1) ?? "",
          name: container.at(-1) ?? "",
          action: "",
          phase: step.phase,
          path: container,
          line: 0,
          file: step.file,
        },
        ...{ status: "running" as const, reason: "", began: time, ignored: false, waited: false },
        ...{ tries: [], values: [], files: [], parent: "", children: [], group: true },
      };
      this.put(parent, false, time);
    }
    const round = roundOf(step.path);
    const before = round === null ? -1 : parent.children.findIndex((key) => (roundOf(this.steps.get(key)?.path ?? []) ?? -1) > round);
    parent.children.splice(before < 0 ? parent.children.length : before, 0, step.key);
  }

  // container is the path of what a path lies in: of a step its round or container, of
  // the round "each[2]" the step "each", where that has begun.
  private container(phase: string, path: string[]): string[] | null {
    const last = path.at(-1) ?? "";
    const outside = path.slice(0, -1);
    const loop = roundOf(path) === null ? null : [...outside, last.slice(0, last.lastIndexOf("["))];
    if (loop !== null && this.steps.has(keyOf({ phase, path: loop }))) return loop;
    return outside.length === 0 ? null : outside;
  }
}

// roundOf is the number in "each[2]".
function roundOf(path: string[]): number | null {
  const round = /\[(\d+)\]$/.exec(path.at(-1) ?? "")?.[1];
  return round === undefined ? null : Number(round);
}

function keyOf(event: Pick<RunEvent, "phase" | "path" | "step_id">): string {
  return `${event.phase ?? "steps"}/${(event.path ?? [event.step_id ?? "?"]).join("/")}`;
}

const worse: StepStatus[] = ["running", "errored", "failed", "cancelled", "passed", "skipped"];

// groupStatus is that of a round, which has no event of its own: the worst inside.
export function groupStatus(recording: Recording, step: Step): StepStatus {
  if (!step.group) return step.status;
  const inside = step.children.map((key) => recording.steps.get(key)).filter((one) => one !== undefined);
  const statuses = inside.map((one) => groupStatus(recording, one));
  return worse.find((status) => statuses.includes(status)) ?? "skipped";
}

// firstFailure is the step that a page opens with: the first, and the innermost, that did
// not pass and counts; else the first that runs.
export function firstFailure(recording: Recording): string {
  const find = (keys: string[], fits: (step: Step) => boolean): string => {
    for (const key of keys) {
      const step = recording.steps.get(key);
      if (step === undefined) continue;
      const inner = find(step.children, fits);
      if (inner !== "") return inner;
      if (!step.group && fits(step)) return key;
    }
    return "";
  };
  return (
    find(recording.roots, (s) => (s.status === "failed" || s.status === "errored") && !s.ignored) ||
    find(recording.roots, (s) => s.status === "running")
  );
}

// lineIndex finds a line of a log by its address; -1: it has none such. A log is in the
// order of its events, and may be long.
export function lineIndex(log: readonly LogLine[], id: string): number {
  const [seq = Number.NaN, part = 0] = id.split(".").map(Number);
  let [low, high] = [0, log.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((log[middle]?.seq ?? 0) < seq) low = middle + 1;
    else high = middle;
  }
  const found = log[low + part];
  return found !== undefined && lineId(found) === id ? low + part : -1;
}
