import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";

// What the journeys stand on: the real program, with its real agents, and Chromium.

export const root = join(import.meta.dirname, "..", "..");
export const binary = process.env.TESTMESH_BIN ?? join(root, ".cache/ui/testmesh");
const run = promisify(execFile);

export interface Mesh {
  url: string;
  demo: string;
  // command runs testmesh against this control plane, and gives what it printed,
  // whatever its exit code.
  command(...args: string[]): Promise<string>;
  // queue runs flows remotely and waits for their end.
  queue(...args: string[]): Promise<string>;
  // queueFiles does so with the flows of a project of these files.
  queueFiles(files: Record<string, string>, ...args: string[]): Promise<string>;
  // push stores flows of ui/e2e/flows, as a project of their own.
  push(...names: string[]): Promise<void>;
  // pushFiles stores a project of these files; what was stored and is none of them goes.
  pushFiles(files: Record<string, string>): Promise<void>;
  kill(): Promise<void>;
  restart(): Promise<void>;
  // forget has a new control plane at the same address, which knows nothing of the old.
  forget(): Promise<void>;
  stop(): Promise<void>;
}

// startMesh starts `testmesh dev` on free ports, with data of its own.
export async function startMesh(env: Record<string, string> = {}): Promise<Mesh> {
  const dir = mkdtempSync(join(tmpdir(), "testmesh-ui-"));
  let child: ChildProcess | null = null;
  let url = "";
  let demo = "";
  const start = async (addr: string, demoAddr: string) => {
    const started = spawn(binary, ["dev", "--headless", "--data", dir, "--addr", addr, "--demo-addr", demoAddr], {
      cwd: root,
      env: { ...process.env, ...env },
    });
    child = started;
    const said = await firstLines(started, /Press Ctrl-C/);
    url = /Control plane\s+(\S+)/.exec(said)?.[1] ?? "";
    demo = /Demo application\s+(\S+)/.exec(said)?.[1] ?? "";
  };
  const end = async (signal: NodeJS.Signals) => {
    const ending = child;
    child = null;
    if (ending !== null) await stopped(ending, signal);
  };
  await start("127.0.0.1:0", "127.0.0.1:0");
  const command = (...args: string[]) => commandIn(root, ...args);
  const commandIn = async (cwd: string, ...args: string[]) => {
    const options = { cwd, env: { ...process.env, TESTMESH_SERVER: url, API_BASE_URL: demo, NO_COLOR: "1" }, maxBuffer: 64 << 20 };
    return run(binary, args, options).then(
      (done) => done.stdout + done.stderr,
      (failed: { stdout?: string; stderr?: string }) => `${failed.stdout ?? ""}${failed.stderr ?? ""}`,
    );
  };
  const inProject = async (files: Record<string, string>, ...args: string[]) => {
    const project = mkdtempSync(join(tmpdir(), "testmesh-project-"));
    mkdirSync(join(project, ".testmesh"));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(project, name), text);
    return commandIn(project, ...args).finally(() => rmSync(project, { recursive: true, force: true }));
  };
  const pushFiles = async (files: Record<string, string>) => {
    const said = await inProject(files, "push", "--force");
    if (!/\d+ added/.test(said)) throw new Error(`push said ${said}`);
  };
  return {
    get url() {
      return url;
    },
    get demo() {
      return demo;
    },
    command,
    queue: (...args) => command("run", "--remote", ...args),
    queueFiles: (files, ...args) => inProject(files, "run", "--remote", ".", ...args),
    push: async (...names) => {
      const files = names.map((name) => [`${name}.testmesh.yaml`, readFileSync(join(root, "ui/e2e/flows", `${name}.testmesh.yaml`), "utf8")]);
      await pushFiles(Object.fromEntries(files) as Record<string, string>);
    },
    pushFiles,
    kill: () => end("SIGKILL"),
    restart: () => start(new URL(url).host, new URL(demo).host),
    forget: async () => {
      await end("SIGKILL");
      rmSync(dir, { recursive: true, force: true });
      await start(new URL(url).host, new URL(demo).host);
    },
    stop: async () => {
      await end("SIGTERM");
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

// firstLines gives what a process prints until a line fits.
export function firstLines(child: ChildProcess, until: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = "";
    const hear = (part: Buffer) => {
      said += part.toString();
      if (until.test(said)) resolve(said);
    };
    child.stdout?.on("data", hear);
    child.stderr?.on("data", hear);
    child.once("exit", (code) => reject(new Error(`it ended with ${code}: ${said}`)));
    child.once("error", reject);
  });
}

const hugeBytes = 200e6;

// pour answers a list of JSON of so many bytes, as fast as it is read, until nobody does.
function pour(response: ServerResponse, bytes: number): void {
  const part = `${JSON.stringify("x".repeat(65_533))},`;
  let left = bytes;
  const more = () => {
    while (left > 0 && !response.destroyed) {
      left -= part.length;
      if (!response.write(part)) return void response.once("drain", more);
    }
    response.end("0]");
  };
  response.write("[");
  more();
}

// stopped has a process end, and waits until it has.
export async function stopped(child: ChildProcess, signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  await new Promise((resolve) => {
    child.once("exit", resolve);
    child.kill(signal);
  });
}

// ended gives all that a process says until it ends.
export function ended(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = "";
    const hear = (part: Buffer) => {
      said += part.toString();
    };
    child.stdout?.on("data", hear);
    child.stderr?.on("data", hear);
    child.once("close", () => resolve(said));
    child.once("error", reject);
  });
}

// startHostile is a system under test whose answers would like to be a page.
export async function startHostile(): Promise<{ url: string; server: Server; heal(): void }> {
  let healed = false;
  const heal = () => {
    healed = true;
  };
  const html = '<script>document.title="owned"</script><img src=x onerror="document.title=\'owned\'"><svg onload="document.title=\'owned\'">';
  const server = createServer((request, response) => {
    if (request.url === "/numbers") {
      response.setHeader("Content-Type", "application/json");
      response.end(`{"big": 12345678901234567890, "price": 59.80, "html": ${JSON.stringify(html)}, "rtl": "abc \u202Edcba\u202C"}`);
      return;
    }
    if (request.url === "/picture.svg") {
      response.setHeader("Content-Type", "image/svg+xml");
      response.end(`<svg xmlns="http://www.w3.org/2000/svg" onload="document.title='owned'"><script>document.title="owned"</script></svg>`);
      return;
    }
    if (request.url === "/terminal") {
      response.setHeader("Content-Type", "text/plain");
      response.end("\u001b]0;owned\u0007\u001b[31mred\u001b[0m \u001b[2J and \u202Edetrevni\u202C");
      return;
    }
    if (request.url === "/huge") {
      response.setHeader("Content-Type", "application/json");
      pour(response, hugeBytes);
      return;
    }
    if (request.url === "/moody") {
      response.setHeader("Content-Type", "application/json");
      response.end(JSON.stringify({ mood: healed ? "good" : "bad" }));
      return;
    }
    response.setHeader("Content-Type", "text/html");
    response.end(html);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server, heal };
}

export function startBrowser(): Promise<Browser> {
  const args = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ];
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args });
}

export interface Tab {
  page: Page;
  // complaints are what the page or the browser has to say against it: errors, and what
  // the policy refused.
  complaints: string[];
}

export async function openTab(browser: Browser, options: BrowserContextOptions = {}): Promise<Tab> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: "reduce", ...options });
  context.setDefaultTimeout(40_000); // a machine that does other things beside is slow
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  return { page, complaints };
}

export interface Server3 {
  urls: string[];
  key: string;
  // lead is the index of the node that leads.
  lead(): Promise<number>;
  kill(index: number): Promise<void>;
  stop(): Promise<void>;
}

// startThree starts three nodes of a control plane, and waits until all of them vote.
export async function startThree(): Promise<Server3> {
  const dir = mkdtempSync(join(tmpdir(), "testmesh-three-"));
  const nodes: ChildProcess[] = [];
  const urls: string[] = [];
  const free = "127.0.0.1:0";
  const common = ["--addr", free, "--cluster-addr", free, "--accept-blob-loss", "--cluster-steady", "1s"];
  const start = async (env: Record<string, string>, ...args: string[]) => {
    const child = spawn(binary, ["server", "--data", join(dir, String(nodes.length)), ...common, ...args], {
      cwd: root,
      env: { ...process.env, ...env },
    });
    nodes.push(child);
    const said = await firstLines(child, /Cluster\s+\S+/);
    urls.push(/Control plane\s+(\S+)/.exec(said)?.[1] ?? "");
  };
  await start({}, "--bootstrap");
  const key = readFileSync(join(dir, "0", "admin.key"), "utf8").trim();
  const ask = async (...args: string[]) =>
    (await run(binary, ["cluster", ...args], { env: { ...process.env, TESTMESH_SERVER: urls.at(-1), TESTMESH_KEY: key, NO_COLOR: "1" } })).stdout;
  for (let i = 1; i < 3; i++) await start({ TESTMESH_NODE_TOKEN: (await ask("token")).trim() }, "--join", urls[0] ?? "");
  const status = async () => {
    for (;;) {
      const said = await ask("status").catch(String);
      const rows = said.split("\n").filter((line) => /\b(leader|voter)\b/.test(line));
      if (rows.length === 3 && rows.some((row) => /\bleader\b/.test(row))) return rows;
      await new Promise((resolve) => setTimeout(resolve, 200)); // the test's own time is the bound
    }
  };
  await status();
  const kill = async (index: number, signal: NodeJS.Signals = "SIGKILL") => {
    const child = nodes[index];
    if (child !== undefined) await stopped(child, signal);
  };
  return {
    urls,
    key,
    lead: async () => {
      const leader = (await status()).find((row) => /\bleader\b/.test(row)) ?? "";
      return urls.findIndex((url) => leader.includes(url));
    },
    kill: (index) => kill(index),
    stop: async () => {
      await Promise.all(nodes.map((_, index) => kill(index)));
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
