// Errors of a plugin as the wire says them.
import { status } from "@grpc/grpc-js";
import { create } from "@bufbuild/protobuf";
import { Fault } from "../testmesh.js";
import { Blame, FaultSchema, type Fault as Message } from "./gen/testmesh/plugin/v1/plugin_pb.js";

/** A fault for people; an error without words is the plugin's own. */
export function toFault(err: unknown): Message {
  if (!(err instanceof Fault)) {
    const message = err instanceof Error ? err.message : String(err);
    const stack = err instanceof Error && err.stack ? err.stack.split("\n").slice(1, 9) : [];
    return create(FaultSchema, {
      code: "E-PLUGIN",
      blame: Blame.PLUGIN,
      message: (message || "the plugin gave no reason").toWellFormed(),
      details: stack.map((line) => line.trim().toWellFormed()),
    });
  }
  const w = err.words;
  return create(FaultSchema, {
    code: w.code,
    message: w.message.toWellFormed(),
    hint: (w.hint ?? "").toWellFormed(),
    field: (w.field ?? "").toWellFormed(),
    details: (w.details ?? []).map((line) => line.toWellFormed()),
    failed: w.failed ?? false,
    blame: Blame[(w.blame ?? "system").toUpperCase() as keyof typeof Blame],
  });
}

/** Something that is wrong in the flow, and the config key where one is. */
export function refuse(message: string, field = ""): Fault {
  return new Fault({ code: "E-CONFIG", message, field, blame: "definition" });
}

/** What gRPC says of an error where there is no place for a fault. */
export function toStatus(err: unknown): { code: status; details: string } {
  return { code: status.UNKNOWN, details: err instanceof Error ? err.message : String(err) };
}
