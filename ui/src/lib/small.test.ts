import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { AgentState, RunStatus } from "../gen/testmesh/api/v1/record_pb";
import { ago, bytes, duration, millis, plural } from "./format";
import { parsePins } from "./pins";
import { mayPass, problemOf } from "./problem";
import { pressed, type Shortcut } from "./shortcuts";
import { median, share } from "./stats";
import { agentMark, hasEnded, markOf, runStatusOf, runWord } from "./status";

test.each([
  [0.42, "0.4ms"],
  [184, "184ms"],
  [1_210, "1.21s"],
  [59_940, "59.9s"],
  [125_000, "2m 5s"],
  [3 * 3_600_000 + 4 * 60_000, "3h 4m"],
  [Number.NaN, ""],
  [-1, ""],
])("%d milliseconds are %s", (ms, want) => expect(duration(ms)).toBe(want));

test("moments, sizes and numbers", () => {
  expect([ago(4_000), ago(61_000), ago(50 * 3_600_000)]).toEqual(["just now", "1m ago", "2d ago"]);
  expect([bytes(12), bytes(1_536), bytes(3 << 20)]).toEqual(["12 B", "1.5 KiB", "3.0 MiB"]);
  expect([plural(1, "run"), plural(12_000, "run")]).toEqual(["1 run", "12,000 runs"]);
  expect(millis(undefined)).toBe(0);
});

test("the median is a value that was", () => {
  expect([median([3, 1, 2]), median([4, 1, 2, 3]), median([7])]).toEqual([2, 2, 7]);
  expect(median([])).toBeNaN();
});

test("nothing but passed looks passed", () => {
  const looks = Object.values(runWord).filter((word) => markOf(word) === "passed");
  expect(looks).toEqual(["passed"]);
  expect(markOf("a status of a later version")).toBe("errored");
  expect(agentMark[AgentState.UNSPECIFIED]).not.toBe("passed");
});

test("every status has a word, and the word leads back", () => {
  for (const status of Object.values(RunStatus).filter((one) => typeof one === "number")) expect(runStatusOf[runWord[status]]).toBe(status);
  expect([hasEnded(RunStatus.FINISHING), hasEnded(RunStatus.PASSED)]).toEqual([false, true]);
});

test("labels as a person types them", () => {
  expect(parsePins("env=staging, zone=eu-1")).toEqual({ pins: { env: "staging", zone: "eu-1" }, problem: "" });
  expect(parsePins("env").problem).toContain("name=value");
  expect(parsePins("a=1 a=2").problem).toContain("twice");
});

test("an error is a sentence and what to do", () => {
  expect(problemOf(new ConnectError("there is no run x", Code.NotFound))).toMatchObject({
    title: "There is no run x.",
    hint: expect.stringContaining("deleted"),
  });
  expect(problemOf(new TypeError("Failed to fetch")).title).toBe("The control plane does not answer.");
  expect(problemOf(new ConnectError("x", Code.NotFound, { "x-request-id": "42" })).requestId).toBe("42");
});

const press = (key: string, list: Shortcut[], at = 0, rest: object = {}) =>
  pressed({ key, ctrlKey: false, metaKey: false, altKey: false, target: null, ...rest }, at, [{ group: "", list }]);
const shortcut = (keys: string): Shortcut => ({ keys, does: keys, run: () => undefined });

test("single keys, chords, and what belongs to the browser", () => {
  const list = ["j", "g r", "mod+k"].map(shortcut);
  expect(press("j", list)?.keys).toBe("j");
  expect(press("g", list, 1_000)).toBeNull();
  expect(press("r", list, 1_500)?.keys).toBe("g r");
  expect(press("r", list, 1_600)).toBeNull();
  expect(press("k", list, 0, { ctrlKey: true })?.keys).toBe("mod+k");
  expect(press("/", list, 0, { ctrlKey: true })).toBeNull();
  expect(press("j", list, 0, { altKey: true })).toBeNull();
});

test("a chord that takes too long is two keys", () => {
  const list = ["g r"].map(shortcut);
  press("g", list, 1_000);
  expect(press("r", list, 9_000)).toBeNull();
});

test("a share never claims all or nothing where that is not so", () => {
  expect([share(0, 0), share(0, 3), share(1, 1_000), share(1, 2), share(999, 1_000), share(3, 3)]).toEqual([
    "",
    "0 %",
    "1 %",
    "50 %",
    "99 %",
    "100 %",
  ]);
});

test("only what may have another answer is asked again", () => {
  expect(mayPass(new ConnectError("away", Code.Unavailable))).toBe(true);
  expect(mayPass(new TypeError("Failed to fetch"))).toBe(true);
  for (const code of [Code.NotFound, Code.InvalidArgument, Code.Unauthenticated]) expect(mayPass(new ConnectError("no", code))).toBe(false);
});
