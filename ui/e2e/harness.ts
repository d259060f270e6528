import { type ChildProcess, execFile, spawn } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
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
  // push stores flows of ui/e2e/flows, as a project of their own.
  push(...names: string[]): Promise<void>;
  kill(): Promise<void>;
  restart(): Promise<void>;
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
    if (ending === null || ending.exitCode !== null) return;
    await new Promise((resolve) => {
      ending.once("exit", resolve);
      ending.kill(signal);
    });
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
  return {
    get url() {
      return url;
    },
    get demo() {
      return demo;
    },
    command,
    queue: (...args) => command("run", "--remote", ...args),
    push: async (...names) => {
      const project = mkdtempSync(join(tmpdir(), "testmesh-project-"));
      mkdirSync(join(project, ".testmesh"));
      for (const name of names) copyFileSync(join(root, "ui/e2e/flows", `${name}.testmesh.yaml`), join(project, `${name}.testmesh.yaml`));
      const said = await commandIn(project, "push");
      rmSync(project, { recursive: true, force: true });
      if (!/\d+ added/.test(said)) throw new Error(`push said ${said}`);
    },
    kill: () => end("SIGKILL"),
    restart: () => start(new URL(url).host, new URL(demo).host),
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
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  return { page, complaints };
}
