import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { checkdigit } from "../src/checkdigit.js";
import { Exact, Fault, type Call, type Json, type JsonObject } from "../src/testmesh.js";

type State = ReturnType<typeof checkdigit.session>;

/** A run that an action can be called in. */
function newRun(signal: AbortSignal = new AbortController().signal) {
  const run = { id: "r", attempt: 1 };
  const logs: string[] = [];
  const call: Call<State> = {
    session: checkdigit.session(run), run, stepId: "s", try: 1, traceparent: "", root: "", dir: "", wantExchange: false, signal,
    turn: async () => {
      await setImmediate();
      signal.throwIfAborted();
    },
    log: (level, message) => void logs.push(`${level}: ${message}`),
    progress: () => {}, exchange: () => {}, artifact: () => {}, secret: () => {},
  };
  const act = async (name: string, config: JsonObject) => checkdigit.actions[name]!.run(config, call);
  return { act, logs };
}

async function refused(field: string, doing: Promise<unknown>): Promise<void> {
  await assert.rejects(doing, (err: unknown) => err instanceof Fault && err.words.field === field && err.words.blame === "definition");
}

test("verify judges a number, and gives it back", async () => {
  const { act } = newRun();
  assert.deepEqual(await act("verify", { scheme: "luhn", value: "4111 1111-1111 1111" }), {
    valid: true, value: "4111 1111-1111 1111", number: "4111111111111111",
  });
  for (const value of [null, true, {}, [], { toString: "1" }, ""]) {
    assert.deepEqual(await act("verify", { scheme: "luhn", value }), { valid: false, value, number: "" });
  }
  const value = new Exact("7992739871300000000000000000000");
  assert.deepEqual(await act("verify", { scheme: "luhn", value }), { valid: true, value, number: value.text });
});

test("find gives the same numbers each time", async () => {
  const { act } = newRun();
  const want = { numbers: ["18", "26", "34"] };
  assert.deepEqual(await act("find", { scheme: "luhn", pattern: "??", count: 3 }), { numbers: ["00", "18", "26"] });
  assert.deepEqual(await act("find", { scheme: "luhn", pattern: "1?" }), { numbers: want.numbers.slice(0, 1) });
  assert.deepEqual(await act("find", { scheme: "luhn", pattern: "11" }), { numbers: [] });
});

test("take never gives a number twice in a run, and does in another", async () => {
  const { act, logs } = newRun();
  assert.deepEqual(await act("take", { scheme: "luhn", pattern: "2?", note: "first" }), { number: "26" });
  await refused("pattern", act("take", { scheme: "luhn", pattern: "2?" }));
  assert.deepEqual(await act("take", { scheme: "luhn", pattern: "??" }), { number: "00" });
  assert.deepEqual(await act("taken", {}), { numbers: [{ number: "26", note: "first" }, { number: "00", note: "" }] });
  assert.deepEqual(logs, ["info: took number 1 of this run", "info: took number 2 of this run"]);
  assert.deepEqual(await newRun().act("take", { scheme: "luhn", pattern: "2?" }), { number: "26" });
});

test("what a schema cannot say is refused by its field", async () => {
  const { act } = newRun();
  await refused("pattern", act("find", { scheme: "luhn", pattern: "a b" }));
  await refused("count", act("find", { scheme: "luhn", pattern: "1?", count: 1001 }));
});

test("a search ends with its signal", async () => {
  const abort = new AbortController();
  const { act } = newRun(abort.signal);
  const doing = act("find", { scheme: "iban", pattern: "????????????????????????????" });
  setTimeout(() => abort.abort(new Fault({ code: "E-TIMEOUT", message: "over" })), 20);
  await assert.rejects(doing, /over/);
});

test("the function judges, and refuses a scheme that is none", async () => {
  const valid = checkdigit.functions!["valid"]!.call as (...args: Json[]) => Json;
  assert.equal(valid("luhn", "79927398713"), true);
  assert.equal(valid("iban", 12), false);
  assert.throws(() => valid("lunh", 1), /there is no such scheme; there are luhn and iban/);
  assert.throws(() => (valid as () => Json)(), Fault);
});
