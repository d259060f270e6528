// The process around a plugin, as hashicorp/go-plugin wants it: the handshake on
// standard output, a TLS socket that only the host can talk to, and an end that
// comes with the host's. It never knows what the plugin does.
import { mkdtempSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { Server, ServerCredentials, type UntypedServiceImplementation, type ServiceDefinition } from "@grpc/grpc-js";
import { selfSigned } from "./certificate.js";

/** The version of the service that these files speak. */
const protocol = 1;
const cookie = { name: "TESTMESH_PLUGIN", value: "b6c1d1f0-testmesh-plugin" };
/** As much as the host sends and takes in one message. */
export const maxMessageBytes = 256 << 20;
const watchEveryMs = 500;

/** Whether a host started this process, and not a person. */
export function startedByHost(): boolean {
  return process.env[cookie.name] === cookie.value;
}

// From the first line on: whatever a plugin prints belongs to the host's log, and
// standard output holds the handshake, or the descriptor, and nothing else.
if (startedByHost() || process.argv[2] === "describe") {
  process.stdout.write = process.stderr.write.bind(process.stderr) as typeof process.stdout.write;
}

export interface Service {
  definition: ServiceDefinition;
  implementation: UntypedServiceImplementation;
}

/** Serves until the host ends it. */
export async function listen(services: Service[], stop: () => Promise<void>): Promise<void> {
  const dir = process.env["PLUGIN_UNIX_SOCKET_DIR"] || tmpdir();
  const own = mkdtempSync(join(dir, "testmesh-"));
  const socket = join(own, "plugin.sock");
  const server = new Server({
    "grpc.max_receive_message_length": maxMessageBytes,
    "grpc.max_send_message_length": maxMessageBytes,
  });
  let ending = false;
  const end = (code: number) => {
    if (ending) return;
    ending = true;
    const leave = () => {
      rmSync(own, { recursive: true, force: true });
      process.exit(code);
    };
    setTimeout(leave, 1500); // a plugin that does not stop is left behind
    void stop().finally(() => {
      server.forceShutdown();
      leave();
    });
  };
  for (const s of [...services, health(), controller(() => setImmediate(end, 0))]) {
    server.addService(s.definition, s.implementation);
  }

  const host = process.env["PLUGIN_CLIENT_CERT"];
  let credentials = ServerCredentials.createInsecure();
  let certificate = "";
  if (host) {
    const own = selfSigned();
    certificate = own.der.toString("base64").replace(/=+$/, "");
    credentials = ServerCredentials.createSsl(
      Buffer.from(host),
      [{ private_key: Buffer.from(own.key), cert_chain: Buffer.from(own.pem) }],
      true,
    );
  }
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${socket}`, credentials, (err) => (err ? reject(err) : resolve()));
  });

  process.on("SIGINT", () => {}); // Ctrl-C is the host's to handle
  process.on("SIGTERM", () => end(0));
  watchHost(() => end(1));
  try {
    writeSync(1, `1|${negotiated()}|unix|${socket}|grpc|${certificate}\n`);
  } catch {
    end(1); // nobody reads: the host has gone already
  }
}

/** The newest version that both ends speak, or ours for the host to refuse. */
function negotiated(): number {
  const offered = (process.env["PLUGIN_PROTOCOL_VERSIONS"] ?? "").split(",").map(Number);
  return offered.find((version) => version === protocol) ?? protocol;
}

// watchHost calls gone once the parent is another than it was. A thread of its
// own ends the process a second later, for a plugin that is in a loop. In a PID
// namespace there is no parent to see; there the kernel ends it with its host.
function watchHost(gone: () => void): void {
  const parent = process.ppid;
  if (parent === 0) return;
  setInterval(() => {
    if (process.ppid !== parent) gone();
  }, watchEveryMs).unref();
  const code = `
    let ticks = 0;
    setInterval(() => {
      if (process.ppid !== ${parent} && ++ticks > 2) process.kill(process.pid, "SIGKILL");
    }, ${watchEveryMs});`;
  new Worker(code, { eval: true, stdout: true, env: {} }).unref();
}

const raw = {
  requestSerialize: (b: Buffer) => b,
  requestDeserialize: (b: Buffer) => b,
  responseSerialize: (b: Buffer) => b,
  responseDeserialize: (b: Buffer) => b,
  requestStream: false,
  responseStream: false,
};

type Answer = (err: null, response: Buffer) => void;

/** grpc.health.v1, which the host asks for the service "plugin". */
function health(): Service {
  const serving = Buffer.of(0x08, 0x01); // status = SERVING
  return {
    definition: { check: { ...raw, path: "/grpc.health.v1.Health/Check" } },
    implementation: { check: (_: unknown, answer: Answer) => answer(null, serving) },
  };
}

/** go-plugin's own service, by which the host asks for the end. */
function controller(shutdown: () => void): Service {
  return {
    definition: { shutdown: { ...raw, path: "/plugin.GRPCController/Shutdown" } },
    implementation: {
      shutdown: (_: unknown, answer: Answer) => {
        answer(null, Buffer.alloc(0));
        shutdown();
      },
    },
  };
}
