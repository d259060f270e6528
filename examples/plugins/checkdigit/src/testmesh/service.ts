// testmesh.plugin.v1.PluginService around a Plugin: sessions that live as long
// as their stream, calls that end when they are asked to, faults for people.
import { status, type sendUnaryData, type ServerUnaryCall, type ServerWritableStream, type ServiceDefinition } from "@grpc/grpc-js";
import { create, fromBinary, toBinary, type DescMethod, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import type { Plugin, Run } from "../testmesh.js";
import { Running } from "./call.js";
import { refuse, toFault, toStatus } from "./fault.js";
import * as pb from "./gen/testmesh/plugin/v1/plugin_pb.js";
import type { Descriptor } from "./gen/testmesh/v1/plugin_pb.js";
import type { Service } from "./host.js";
import { parse, print, textOf, view, type Json } from "./json.js";

/** One run's part of the plugin. */
interface Session<S> {
  run: Run;
  state: S;
  calls: Set<Promise<void>>;
  /** Ends the calls and the stream; done is when nothing is left. */
  close: (reason: string) => void;
  done: Promise<void>;
  signal: AbortSignal;
}

type Stream<I, O> = ServerWritableStream<I, O>;
type Unary = typeof pb.PluginService.method;
type Request<M extends keyof Unary> = MessageShape<Unary[M]["input"]>;
type Response<M extends keyof Unary> = MessageInitShape<Unary[M]["output"]>;

/** Keeps the sessions of a plugin and serves it. */
export class Sessions<S> {
  private readonly sessions = new Map<string, Session<S>>();
  private readonly calls = new Map<string, Running<S>>();

  constructor(
    private readonly plugin: Plugin<S>,
    private readonly descriptor: Descriptor,
  ) {}

  /** The service for gRPC. */
  service(): Service {
    const unary =
      <M extends keyof Unary>(method: M, answer: (req: Request<M>) => Response<M> | Promise<Response<M>>) =>
      (call: ServerUnaryCall<Request<M>, unknown>, reply: sendUnaryData<unknown>) => {
        Promise.resolve()
          .then(() => answer(call.request))
          .then(
            (res) => reply(null, create<Unary[M]["output"]>(pb.PluginService.method[method].output, res)),
            (err: unknown) => reply(toStatus(err)),
          );
      };
    return {
      definition: definition(),
      implementation: {
        describe: unary("describe", () => ({ descriptor: this.descriptor })),
        configure: unary("configure", () => ({})),
        execute: (call: Stream<pb.ExecuteRequest, pb.ExecuteResponse>) => this.execute(call),
        openSession: (call: Stream<pb.OpenSessionRequest, pb.OpenSessionResponse>) => this.open(call),
        closeSession: unary("closeSession", async (req) => {
          const session = this.sessions.get(req.sessionId);
          session?.close("the session was closed");
          await session?.done;
          return {};
        }),
        call: unary("call", (req) => this.call(req)),
        cancel: unary("cancel", (req) => {
          this.calls.get(req.callId)?.cancel(req.reason);
          return {};
        }),
        health: unary("health", () => ({ ready: true, executing: this.calls.size, sessions: this.sessions.size })),
      },
    };
  }

  /** Ends every session. */
  async closeAll(): Promise<void> {
    const all = [...this.sessions.values()];
    for (const session of all) session.close("the plugin was asked to end");
    await Promise.all(all.map((session) => session.done));
  }

  private open(stream: Stream<pb.OpenSessionRequest, pb.OpenSessionResponse>): void {
    const { sessionId, runId, attempt } = stream.request;
    const refuse = (details: string) => stream.emit("error", { code: status.ALREADY_EXISTS, details });
    if (!sessionId || this.sessions.has(sessionId)) return void refuse(`session "${sessionId}" is open or has no name`);
    if ([...this.sessions.values()].some((s) => s.run.id === runId)) return void refuse(`run ${runId} has a session already`);

    const run = { id: runId, attempt };
    let state: S;
    try {
      state = this.plugin.session(run);
    } catch (err) {
      return void stream.emit("error", toStatus(err));
    }
    const over = new AbortController();
    const calls = new Set<Promise<void>>();
    const ended = new Promise<void>((resolve) => over.signal.addEventListener("abort", () => resolve()));
    const leave = async () => {
      await ended;
      await Promise.all(calls);
      try {
        await this.plugin.end?.(state);
      } catch (err) {
        process.stderr.write(`end of run ${runId}: ${String(err)}\n`);
      }
      this.sessions.delete(sessionId);
      stream.end();
    };
    const close = (reason: string) => over.abort(reason);
    this.sessions.set(sessionId, { run, state, calls, close, signal: over.signal, done: leave() });
    stream.on("cancelled", () => close("the host has gone"));
    stream.write(create(pb.OpenSessionResponseSchema, { event: { case: "opened", value: {} } }));
  }

  private execute(stream: Stream<pb.ExecuteRequest, pb.ExecuteResponse>): void {
    const req = stream.request;
    const refuse = (code: status, details: string) => stream.emit("error", { code, details });
    const session = this.sessions.get(req.sessionId);
    if (!session || session.signal.aborted) {
      return void refuse(status.FAILED_PRECONDITION, `there is no session "${req.sessionId}"`);
    }
    if (this.calls.has(req.callId)) return void refuse(status.ALREADY_EXISTS, `call "${req.callId}" is under way`);

    const running = new Running(this.plugin, session.run, session.state, req, (message) => stream.write(message));
    const stop = () => running.cancel(String(session.signal.reason));
    session.signal.addEventListener("abort", stop);
    stream.on("cancelled", () => running.cancel("the host has gone"));
    this.calls.set(req.callId, running);
    const done = running.finish().then(() => {
      session.signal.removeEventListener("abort", stop);
      session.calls.delete(done);
      this.calls.delete(req.callId);
      stream.end();
    });
    session.calls.add(done);
  }

  private async call(req: pb.CallRequest): Promise<Response<"call">> {
    try {
      const functions = this.plugin.functions ?? {};
      const f = Object.hasOwn(functions, req.function) ? functions[req.function] : undefined;
      if (!f) throw refuse(`there is no function ${req.function}`);
      const result = await f.call(...argumentsOf(req));
      return { outcome: { case: "resultJson", value: Buffer.from(print(result)) } };
    } catch (err) {
      return { outcome: { case: "fault", value: toFault(err) } };
    }
  }
}

function argumentsOf(req: pb.CallRequest): Json[] {
  try {
    const args = parse(textOf(req.argsJson));
    if (Array.isArray(args)) return args;
  } catch {
    // said below
  }
  throw refuse(`the arguments of ${req.function} are no JSON list`);
}

/** The methods as gRPC knows them, made from the proto's descriptor. */
function definition(): ServiceDefinition {
  const out: Record<string, ServiceDefinition[string]> = {};
  for (const method of pb.PluginService.methods) out[method.localName] = methodDefinition(method);
  return out;
}

function methodDefinition(method: DescMethod): ServiceDefinition[string] {
  const coder = (schema: DescMethod["input"]) => ({
    write: (message: MessageShape<typeof schema>) => view(toBinary(schema, message)),
    read: (bytes: Buffer) => fromBinary(schema, bytes),
  });
  const [input, output] = [coder(method.input), coder(method.output)];
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming",
    responseStream: method.methodKind === "server_streaming" || method.methodKind === "bidi_streaming",
    requestSerialize: input.write,
    requestDeserialize: input.read,
    responseSerialize: output.write,
    responseDeserialize: output.read,
  };
}
