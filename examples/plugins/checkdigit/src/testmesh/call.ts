// One try of one action: from its request to its result or its fault.
import { setImmediate } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { durationMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Fault, type Call, type Plugin, type Run } from "../testmesh.js";
import { refuse, toFault } from "./fault.js";
import { ExecuteResponseSchema, type ExecuteRequest, type ExecuteResponse } from "./gen/testmesh/plugin/v1/plugin_pb.js";
import { maxMessageBytes } from "./host.js";
import { parse, print, textOf, type Json } from "./json.js";
import { isObject, wrong } from "./schema.js";

// How long an action may go on once its signal is aborted. The host waits two
// seconds; what the plugin says of itself reads better than what the host says.
const graceMs = 1500;
const longestTimerMs = 2 ** 31 - 1;
// How long an action computes before everything else has its turn.
const turnMs = 1;
// Actions that compute go on one after another, each after a look at what the
// host has sent: fifty of them answer Cancel and Health as fast as one does.
let queue: Promise<void> = Promise.resolve();

type Event = NonNullable<MessageInitShape<typeof ExecuteResponseSchema>["event"]>;

/** A call under way. */
export class Running<S> {
  private readonly abort = new AbortController();
  private readonly secrets: { name: string; value: Buffer }[] = [];
  private over = false;
  private turnBegan = performance.now();

  constructor(
    private readonly plugin: Plugin<S>,
    private readonly run: Run,
    private readonly state: S,
    private readonly req: ExecuteRequest,
    private readonly write: (message: ExecuteResponse) => void,
  ) {}

  /** Asks the action to end. */
  cancel(reason: string): void {
    const words = { code: "E-PLUGIN", message: `${this.req.action} was cancelled: ${reason}`, blame: "agent" as const };
    this.abort.abort(new Fault(words));
  }

  /** Runs the action and sends its end. */
  async finish(): Promise<void> {
    const timers: NodeJS.Timeout[] = [];
    if (this.req.timeout) {
      const ms = Math.min(durationMs(this.req.timeout), longestTimerMs);
      const words = { code: "E-TIMEOUT", message: `${this.req.action} did not end in its time` };
      timers.push(setTimeout(() => this.abort.abort(new Fault(words)), ms));
    }
    const abandoned = new Promise<never>((_, reject) => {
      this.abort.signal.addEventListener("abort", () => {
        const reason: Fault = this.abort.signal.reason;
        timers.push(setTimeout(() => reject(reason), graceMs));
      });
    });
    let last: Event;
    try {
      const result = await Promise.race([this.execute(), abandoned]);
      last = { case: "result", value: { resultJson: result, secrets: this.secrets } };
    } catch (err) {
      last = { case: "fault", value: toFault(err) };
    }
    for (const timer of timers) clearTimeout(timer);
    this.send(last);
    this.over = true;
  }

  private async execute(): Promise<Uint8Array> {
    const { action: name, configJson } = this.req;
    const short = name.startsWith(`${this.plugin.name}.`) ? name.slice(this.plugin.name.length + 1) : "";
    const action = Object.hasOwn(this.plugin.actions, short) ? this.plugin.actions[short] : undefined;
    if (!action) throw refuse(`there is no action ${name}`);
    const config = parse(textOf(configJson));
    const found = wrong(config, { type: "object", ...action.config });
    if (found) throw refuse(found.message, found.field);
    const result = await action.run(config, this.call());
    if (!isObject(result)) throw new TypeError(`${name} gave a result that is no object`);
    const text = Buffer.from(print(result));
    if (text.length > maxMessageBytes - 1024) throw new RangeError(`${name} gave a result over ${maxMessageBytes >> 20} MiB`);
    return text;
  }

  private call(): Call<S> {
    const { req } = this;
    return {
      session: this.state,
      run: this.run,
      stepId: req.stepId,
      try: req.try,
      traceparent: req.traceparent,
      root: req.root,
      dir: req.dir,
      wantExchange: req.wantExchange,
      signal: this.abort.signal,
      turn: () => this.turn(),
      log: (level, message) => this.send({ case: "log", value: { level, message: message.toWellFormed() } }),
      progress: (message) => this.send({ case: "progress", value: { message: message.toWellFormed() } }),
      exchange: (x) =>
        this.send({
          case: "exchange",
          value: {
            protocol: x.protocol.toWellFormed(),
            summary: x.summary.toWellFormed(),
            requestJson: bytes(x.request),
            responseJson: bytes(x.response),
            timingsMs: x.timings ?? {},
            ...(x.started ? { started: timestampFromDate(x.started) } : {}),
          },
        }),
      artifact: (artifact, mediaType, data) =>
        this.send({ case: "artifact", value: { name: artifact.toWellFormed(), mediaType, data } }),
      secret: (secret, value) => void this.secrets.push({ name: secret.toWellFormed(), value: Buffer.from(value) }),
    };
  }

  private async turn(): Promise<void> {
    if (performance.now() - this.turnBegan < turnMs) return;
    queue = queue.then(() => setImmediate());
    await queue;
    this.abort.signal.throwIfAborted();
    this.turnBegan = performance.now();
  }

  // An action that goes on after its end is not heard any more.
  private send(event: Event): void {
    if (!this.over) this.write(create(ExecuteResponseSchema, { event }));
  }
}

function bytes(value: Json | undefined): Uint8Array {
  return value === undefined ? new Uint8Array() : Buffer.from(print(value));
}
