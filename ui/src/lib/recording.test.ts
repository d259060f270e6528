import { expect, test } from "vitest";
import type { RunEvent } from "./events";
import { firstFailure, groupStatus, lineId, lineIndex, mostLines, Recording } from "./recording";

let seq = 0;
const at = (ms: number) => new Date(Date.parse("2026-01-01T00:00:00Z") + ms).toISOString();

function line(type: string, path: string[], rest: Partial<RunEvent> = {}, ms = 0): string {
  return `${JSON.stringify({ v: 1, type, seq: ++seq, time: at(ms), phase: "steps", step_id: path.at(-1), path, try: 1, ...rest })}\n`;
}

const started = (path: string[], rest: Partial<RunEvent> = {}, ms = 0) => line("step.started", path, rest, ms);
const finished = (path: string[], status: RunEvent["status"], rest: Partial<RunEvent> = {}, ms = 0) =>
  line("step.finished", path, { status, ...rest }, ms);

function record(...lines: string[]): Recording {
  const recording = new Recording();
  recording.append(lines.join(""));
  return recording;
}

test("however a stream is cut into parts, the steps are the same", () => {
  const text = started(["a"]) + finished(["a"], "passed", { duration_ms: 5 }) + started(["b"]) + line("step.log", ["b"], { message: "grüße ✓" });
  const whole = record(text);
  const parts = new Recording();
  for (const c of text) parts.append(c);
  expect([...parts.steps.values()]).toEqual([...whole.steps.values()]);
  expect(parts.log).toEqual(whole.log);
  expect(whole.steps.get("steps/a")).toMatchObject({ status: "passed", durationMs: 5 });
});

test("rounds lie in their loop by their numbers, in whatever order they ran", () => {
  const recording = record(started(["each"]), started(["each[1]", "pay"]), started(["each[0]", "pay"]), started(["each[10]", "pay"]));
  expect(recording.roots).toEqual(["steps/each"]);
  expect(recording.steps.get("steps/each")?.children).toEqual(["steps/each[0]", "steps/each[1]", "steps/each[10]"]);
  expect(recording.steps.get("steps/each[1]")?.children).toEqual(["steps/each[1]/pay"]);
});

test("a round is as bad as the worst in it, and runs as long as one runs", () => {
  const recording = record(started(["each"]), started(["each[0]", "a"]), finished(["each[0]", "a"], "failed"), started(["each[0]", "b"]));
  const round = recording.steps.get("steps/each[0]");
  if (round === undefined) throw new Error("there is no round");
  expect(groupStatus(recording, round)).toBe("running");
  recording.append(finished(["each[0]", "b"], "passed"));
  expect(groupStatus(recording, round)).toBe("failed");
});

test("tries keep what each was judged by", () => {
  const failed = [{ expression: "status == 200", passed: false }];
  const recording = record(
    started(["a"], {}, 0),
    line("step.exchange", ["a"], { summary: "GET 503" }, 5),
    line("step.retrying", ["a"], { status: "failed", assertions: failed, next_in_ms: 50 }, 10),
    line("step.exchange", ["a"], { try: 2, summary: "GET 200" }, 70),
    finished(["a"], "passed", { try: 2, tries: 2, assertions: [{ expression: "status == 200", passed: true }] }, 80),
  );
  const step = recording.steps.get("steps/a");
  expect(step?.tries.map((one) => [one.number, one.status, one.nextInMs, one.exchanges.length])).toEqual([
    [1, "failed", 50, 1],
    [2, "passed", undefined, 1],
  ]);
  expect(step?.status).toBe("passed");
  const [first, second] = step?.tries ?? [];
  expect((second?.began ?? 0) - (first?.began ?? 0)).toBe(60); // 10 ms and the pause of 50
});

test("the page opens with the innermost step that failed and counts", () => {
  const recording = record(
    started(["ignored"]) + finished(["ignored"], "failed", { ignored: true }),
    started(["group"]) + started(["group", "inner"]) + finished(["group", "inner"], "errored") + finished(["group"], "errored"),
    finished(["never"], "skipped", { try: undefined }),
  );
  expect(firstFailure(recording)).toBe("steps/group/inner");
  expect(recording.steps.get("steps/never")?.tries).toEqual([]);
});

test("as long as nothing failed it opens with what runs", () => {
  expect(firstFailure(record(started(["a"]), finished(["a"], "passed"), started(["b"])))).toBe("steps/b");
});

test("a log's message of several lines has an address for each", () => {
  seq = 0;
  const recording = record(line("step.log", ["a"], { message: "one\ntwo\n" }));
  expect(recording.log.map((one) => [lineId(one), one.text])).toEqual([
    ["1", "one"],
    ["1.1", "two"],
  ]);
});

test("a line is found by its address, and by no other", () => {
  seq = 0;
  const { log } = record(
    line("step.log", ["a"], { message: "one\ntwo" }),
    line("step.exchange", ["a"]),
    line("step.log", ["a"], { message: "three" }),
  );
  expect(["1", "1.1", "3"].map((id) => lineIndex(log, id))).toEqual([0, 1, 2]);
  expect(["2", "1.2", "4", "0", "", "x"].map((id) => lineIndex(log, id))).toEqual([-1, -1, -1, -1, -1, -1]);
});

test("what is no event is passed over", () => {
  const recording = record("no JSON\n", "{}\n", "\n", started(["a"]));
  expect(recording.steps.size).toBe(1);
});

test("another attempt begins anew", () => {
  const recording = record(started(["a"]), '{"half');
  recording.reset();
  recording.append(started(["b"]));
  expect([...recording.steps.keys()]).toEqual(["steps/b"]);
});

test("a phase of its own keeps steps of the same name apart", () => {
  const recording = record(started(["a"]), started(["a"], { phase: "teardown" }));
  expect(recording.roots).toEqual(["steps/a", "teardown/a"]);
});

test("a log that no browser can lay out is cut, and says how much is missing", () => {
  const recording = record(line("step.log", ["a"], { message: "x\n".repeat(mostLines + 5) }), line("step.log", ["a"], { message: "one more" }));
  expect([recording.log.length, recording.lostLines]).toEqual([mostLines, 6]);
});
