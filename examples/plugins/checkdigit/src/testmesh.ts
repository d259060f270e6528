// A TestMesh plugin in TypeScript: serve({...}) is all that its program does.
// This file and the folder beside it are the whole of the wire and know nothing
// of any one plugin.
import { writeSync } from "node:fs";
import { create, toJsonString } from "@bufbuild/protobuf";
import { DescriptorSchema, Effect, type Descriptor } from "./testmesh/gen/testmesh/v1/plugin_pb.js";
import { listen, startedByHost } from "./testmesh/host.js";
import type { Json, JsonObject } from "./testmesh/json.js";
import type { Schema } from "./testmesh/schema.js";
import { Sessions } from "./testmesh/service.js";

export { refuse } from "./testmesh/fault.js";
export { Exact, type Json, type JsonObject } from "./testmesh/json.js";
export type { Schema } from "./testmesh/schema.js";

/** What a plugin is. S is what it keeps for one run. */
export interface Plugin<S> {
  /** The part of an action before the dot: [a-z][a-z0-9_]*. */
  name: string;
  version: string;
  /** One sentence. */
  summary: string;
  /** Makes what is kept for a run; runs do not see each other. */
  session: (run: Run) => S;
  /** Releases it, after the last action of the run. */
  end?: (session: S) => void | Promise<void>;
  /** By the part of their name after the dot. */
  actions: Record<string, Action<S>>;
  /** Functions for expressions, <plugin>.<function>(...). They change nothing. */
  functions?: Record<string, Callable>;
}

/** The run that a session belongs to. */
export interface Run {
  id: string;
  attempt: number;
}

export interface Action<S> {
  summary: string;
  description?: string;
  /** JSON Schema of the config; a config that is not so becomes a fault. */
  config: Schema;
  /** JSON Schema of the result; its properties are what assertions see. */
  result: Schema;
  /** What must hold where a step has no assertions; empty: that it completed. */
  expectation?: string;
  /** What it does to the system under test; it decides what may be repeated. */
  effect: "observe" | "idempotent" | "once" | "consume" | "load" | "teardown";
  /** A complete step in YAML. */
  example?: string;
  /** Runs one try. It throws a Fault for whatever the person who wrote the flow
   * should read, and ends soon after call.signal is aborted. */
  run: (config: any, call: Call<S>) => JsonObject | Promise<JsonObject>;
}

export interface Callable {
  summary: string;
  /** The names of its parameters, in order. */
  parameters: string[];
  call: (...args: any[]) => Json | Promise<Json>;
}

/** One try of one step. */
export interface Call<S> {
  /** What the run has kept so far. */
  session: S;
  run: Run;
  stepId: string;
  /** Counts from 1. */
  try: number;
  /** A W3C traceparent, or empty. */
  traceparent: string;
  /** The project's folder, or empty where the step may not read files; dir is
   * the flow file's folder below it. */
  root: string;
  dir: string;
  /** Whether anybody reads exchanges. */
  wantExchange: boolean;
  /** Aborted when the time is over or somebody cancels; signal.reason is a Fault
   * to throw. */
  signal: AbortSignal;
  /** Lets everything else have its turn, where an action computes rather than
   * waits: JavaScript has one thread for all calls. It throws signal.reason. Call
   * it often; it does nothing more than once a millisecond. */
  turn(): Promise<void>;
  /** Adds a line to the step's log. */
  log(level: "debug" | "info" | "warn" | "error", message: string): void;
  /** Says what a long call waits for. */
  progress(message: string): void;
  /** Records a request and what came back. */
  exchange(exchange: Exchange): void;
  /** Stores a file of the run. */
  artifact(name: string, mediaType: string, data: Uint8Array): void;
  /** Names a value that must never be shown. */
  secret(name: string, value: string): void;
}

/** One request and what came back, as people debug it. */
export interface Exchange {
  protocol: string;
  /** One line: "POST http://127.0.0.1:7071/orders → 201". */
  summary: string;
  request?: Json;
  response?: Json;
  /** Milliseconds by phase. */
  timings?: Record<string, number>;
  started?: Date;
}

/** Why a try has no result, in words for the person who wrote the flow. */
export interface Words {
  /** E-CONN, E-DNS, E-TLS, E-TIMEOUT, E-PROTOCOL, E-BODY, E-AUTH, E-CONFIG,
   * E-WAIT or E-PLUGIN. */
  code: string;
  /** One sentence without a full stop. */
  message: string;
  /** What to do. */
  hint?: string;
  /** The config key that is wrong, with dots. */
  field?: string;
  details?: string[];
  /** Whose fault it is; left out: that of the system under test. */
  blame?: "system" | "plugin" | "agent" | "definition";
  /** A wrong answer of the system: the step failed. Otherwise it errored. */
  failed?: boolean;
}

/** The error that carries Words; any other is a fault of the plugin. */
export class Fault extends Error {
  constructor(readonly words: Words) {
    super(words.message);
  }
}

/** Serves the plugin until the host that started this process ends it. With the
 * argument "describe" it prints the descriptor as JSON instead. */
export function serve<S>(plugin: Plugin<S>): void {
  const descriptor = describe(plugin);
  if (process.argv[2] === "describe") {
    writeSync(1, `${toJsonString(DescriptorSchema, descriptor, { prettySpaces: 2 })}\n`);
    return;
  }
  if (!startedByHost()) {
    process.stderr.write(
      `This is the TestMesh plugin ${plugin.name} ${plugin.version}. It is started by testmesh, not by hand.\n` +
        "  hint: testmesh plugin install DIR makes it known to a project; with the argument describe it prints what it can do\n",
    );
    process.exitCode = 2;
    return;
  }
  const sessions = new Sessions(plugin, descriptor);
  listen([sessions.service()], () => sessions.closeAll()).catch((err: unknown) => {
    process.stderr.write(`${err instanceof Error ? err.message : String(err)}\n`);
    process.exit(1);
  });
}

/** The descriptor of a plugin. */
export function describe<S>(plugin: Plugin<S>): Descriptor {
  return create(DescriptorSchema, {
    name: plugin.name,
    version: plugin.version,
    summary: plugin.summary,
    actions: Object.entries(plugin.actions).map(([name, action]) => ({
      name: `${plugin.name}.${name}`,
      summary: action.summary,
      description: action.description ?? "",
      configSchema: JSON.stringify(action.config),
      resultSchema: JSON.stringify(action.result),
      expectation: action.expectation ?? "",
      effects: [{ effect: Effect[action.effect.toUpperCase() as keyof typeof Effect] }],
      example: action.example ?? "",
    })),
    functions: Object.entries(plugin.functions ?? {}).map(([name, f]) => ({
      name,
      summary: f.summary,
      parameters: f.parameters,
    })),
  });
}
