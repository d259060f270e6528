import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { credentials, makeGenericClientConstructor, Server, ServerCredentials, type Client } from "@grpc/grpc-js";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { describe, Fault, refuse, type Call, type Plugin } from "../src/testmesh.js";
import * as pb from "../src/testmesh/gen/testmesh/plugin/v1/plugin_pb.js";
import { Sessions } from "../src/testmesh/service.js";

const any = { type: "object" };

/** A plugin whose one action does what the config names. */
const doings: Record<string, (call: Call<{ seen: number }>) => unknown> = {
  count: (call) => ({ seen: ++call.session.seen, run: call.run.id, try: call.try }),
  report: (call) => {
    call.log("warn", "half \ud800");
    call.progress("waiting");
    call.exchange({ protocol: "X/1", summary: "x", request: { n: 10n ** 20n }, timings: { total: 1.5 }, started: new Date(1000) });
    call.artifact("a.txt", "text/plain", Buffer.from("data"));
    call.secret("token", "s3cret");
    return {};
  },
  wait: (call) => new Promise((_, reject) => call.signal.addEventListener("abort", () => reject(call.signal.reason))),
  hang: () => new Promise(() => {}),
  fail: () => { throw new Fault({ code: "E-WAIT", message: "nothing came", failed: true, details: ["a"], hint: "wait longer" }); },
  bug: () => { throw new TypeError("x is not a function"); },
  list: () => [],
  nan: () => ({ a: NaN }),
  late: (call) => {
    setTimeout(() => call.log("info", "too late"), 50);
    return {};
  },
};
const ended: string[] = [];
const plugin: Plugin<{ seen: number; id: string }> = {
  name: "x", version: "1.0.0", summary: "x",
  session: (run) => ({ seen: 0, id: run.id }),
  end: (session) => void ended.push(session.id),
  actions: { do: { summary: "x", config: any, result: any, effect: "once", run: (config, call) => doings[config.what]!(call) as never } },
  functions: {
    add: { summary: "x", parameters: ["a", "b"], call: (a, b) => (typeof a === "number" ? a + b : Promise.reject(refuse("no number"))) },
    broken: { summary: "x", parameters: [], call: () => { throw new Error("oh"); } },
  },
};

const dir = mkdtempSync(join(tmpdir(), "checkdigit-"));
const server = new Server();
let client: Client & Record<string, Function>;

before(async () => {
  const service = new Sessions(plugin, describe(plugin)).service();
  server.addService(service.definition, service.implementation);
  const address = `unix:${join(dir, "s")}`;
  await new Promise((resolve) => server.bindAsync(address, ServerCredentials.createInsecure(), resolve));
  client = new (makeGenericClientConstructor(service.definition, "x"))(address, credentials.createInsecure()) as never;
});

after(() => {
  client.close();
  server.forceShutdown();
  rmSync(dir, { recursive: true });
});

function unary(method: string, request: unknown): Promise<any> {
  return new Promise((resolve, reject) => client[method]!(request, (err: unknown, res: unknown) => (err ? reject(err) : resolve(res))));
}

/** Opens a session, and gives its stream once it is open. */
async function open(id: string): Promise<any> {
  const stream = client["openSession"]!(create(pb.OpenSessionRequestSchema, { sessionId: id, runId: `run-${id}`, attempt: 1 }));
  await new Promise((resolve, reject) => stream.once("data", resolve).once("error", reject));
  return stream.on("error", () => {});
}

let calls = 0;
type Init = MessageInitShape<typeof pb.ExecuteRequestSchema>;

/** Runs the action, and gives all that came. */
async function act(sessionId: string, what: string, more: Init = {}): Promise<pb.ExecuteResponse["event"][]> {
  const configJson = Buffer.from(JSON.stringify({ what }));
  const req = create(pb.ExecuteRequestSchema, { callId: `c${++calls}`, sessionId, action: "x.do", configJson, try: 1, ...(more as object) });
  const events: pb.ExecuteResponse["event"][] = [];
  for await (const message of client["execute"]!(req)) events.push(message.event);
  return events;
}

/** The one event of a call that ends at once: its fault. */
async function fault(what: string, more: Init = {}): Promise<pb.Fault> {
  const events = await act("s", what, more);
  const last = events[0];
  assert.ok(events.length === 1 && last?.case === "fault", `${what} gave ${JSON.stringify(events.map((e) => e.case))}`);
  return last.value;
}

function result(event: pb.ExecuteResponse["event"] | undefined): unknown {
  assert.ok(event?.case === "result");
  return JSON.parse(Buffer.from(event.value.resultJson).toString());
}

test("sessions keep what is theirs, until they are closed", async () => {
  await Promise.all([open("a"), open("b")]);
  await act("a", "count");
  assert.deepEqual(result((await act("a", "count", { try: 7 }))[0]), { seen: 2, run: "run-a", try: 7 });
  assert.deepEqual(result((await act("b", "count"))[0]), { seen: 1, run: "run-b", try: 1 });
  await assert.rejects(open("a"), /ALREADY_EXISTS/);
  await unary("closeSession", create(pb.CloseSessionRequestSchema, { sessionId: "a" }));
  assert.deepEqual(ended, ["run-a"]);
  await unary("closeSession", create(pb.CloseSessionRequestSchema, { sessionId: "a" }));
  await assert.rejects(act("a", "count"), /FAILED_PRECONDITION/);
  await open("a");
  assert.deepEqual(result((await act("a", "count"))[0]), { seen: 1, run: "run-a", try: 1 });
});

test("a session that is cut ends its calls, and is released", async () => {
  const stream = await open("cut");
  const waiting = act("cut", "wait");
  stream.cancel();
  const event = (await waiting)[0];
  assert.ok(event?.case === "fault" && /the host has gone/.test(event.value.message));
  for (let health; !health || health.sessions > 2; ) health = await unary("health", create(pb.HealthRequestSchema));
  assert.ok(ended.includes("run-cut"));
});

test("what a call reports comes in order", async () => {
  await open("s");
  const [log, progress, exchange, artifact, last] = await act("s", "report");
  assert.ok(log?.case === "log" && log.value.level === "warn" && log.value.message === "half \ufffd");
  assert.ok(progress?.case === "progress" && progress.value.message === "waiting");
  assert.ok(exchange?.case === "exchange" && Buffer.from(exchange.value.requestJson).toString() === '{"n":100000000000000000000}');
  assert.ok(exchange.value.responseJson.length === 0 && exchange.value.started?.seconds === 1n && exchange.value.timingsMs["total"] === 1.5);
  assert.ok(artifact?.case === "artifact" && Buffer.from(artifact.value.data).toString() === "data");
  assert.ok(last?.case === "result" && Buffer.from(last.value.secrets[0]!.value).toString() === "s3cret");
});

test("faults are told apart", async () => {
  const failed = await fault("fail");
  assert.deepEqual([failed.code, failed.failed, failed.blame, failed.hint, failed.details], ["E-WAIT", true, pb.Blame.SYSTEM, "wait longer", ["a"]]);
  for (const [what, words] of [["bug", /x is not a function/], ["list", /no object/], ["nan", /a is NaN/]] as const) {
    const bug = await fault(what);
    assert.deepEqual([bug.code, bug.blame, bug.failed], ["E-PLUGIN", pb.Blame.PLUGIN, false]);
    assert.match(bug.message, words);
  }
  const unknown = await fault("count", { action: "x.toString" });
  assert.deepEqual([unknown.code, unknown.blame], ["E-CONFIG", pb.Blame.DEFINITION]);
});

test("a timeout, a cancellation, and an action that does not listen", async () => {
  const late = await fault("wait", { timeout: durationFromMs(20) });
  assert.deepEqual([late.code, late.message], ["E-TIMEOUT", "x.do did not end in its time"]);
  const cancelled = fault("wait", { callId: "mine" });
  for (let health; !health?.executing; ) health = await unary("health", create(pb.HealthRequestSchema));
  await unary("cancel", create(pb.CancelRequestSchema, { callId: "mine", reason: "enough" }));
  assert.equal((await cancelled).message, "x.do was cancelled: enough");
  const began = performance.now();
  assert.equal((await fault("hang", { timeout: durationFromMs(20) })).code, "E-TIMEOUT");
  assert.ok(performance.now() - began < 2000);
});

test("nothing is heard of a call after its end", async () => {
  assert.deepEqual((await act("s", "late")).map((e) => e.case), ["result"]);
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal((await act("s", "count")).length, 1);
});

test("functions give values and faults", async () => {
  const call = (name: string, args: string) => unary("call", create(pb.CallRequestSchema, { function: name, argsJson: Buffer.from(args) }));
  assert.equal(Buffer.from((await call("add", "[1,2]")).outcome.value).toString(), "3");
  for (const [name, args, blame] of [
    ["add", '["a",1]', pb.Blame.DEFINITION], ["add", "{}", pb.Blame.DEFINITION], ["add", "[", pb.Blame.DEFINITION],
    ["toString", "[]", pb.Blame.DEFINITION], ["broken", "[]", pb.Blame.PLUGIN],
  ] as const) {
    const { outcome } = await call(name, args);
    assert.deepEqual([outcome.case, outcome.value.blame], ["fault", blame], `${name}(${args})`);
  }
});
