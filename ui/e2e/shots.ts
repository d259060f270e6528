import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, test } from "vitest";
import { binary, type Mesh, openTab, root, startBrowser, startMesh } from "./harness";
import { shop } from "./shop";

// The pictures of the documents (`make screenshots`): a control plane with agents and
// 2,000 runs of a shop, every page in both themes, on a desktop and a telephone.

const images = join(root, "docs", "images");
const dir = mkdtempSync(join(tmpdir(), "testmesh-shots-"));
const project = join(dir, "shop");
const run = promisify(execFile);
// half an hour: a machine that does other things beside makes 2,000 runs slowly.
const patience = 1_800_000;
// SHOT_RUNS and SHOT_PAGES are for who looks at one page while it is made.
const only = process.env.SHOT_PAGES?.split(",") ?? [];
const wanted = Number(process.env.SHOT_RUNS ?? 2_000);
let mesh: Mesh;
let browser: Browser;
const agents: ChildProcess[] = [];

async function command(...args: string[]): Promise<string> {
  const env = { ...process.env, TESTMESH_SERVER: mesh.url, API_BASE_URL: mesh.demo, NO_COLOR: "1" };
  return run(binary, args, { cwd: project, env, maxBuffer: 256 << 20 }).then(
    (done) => done.stdout + done.stderr,
    (failed: { stdout?: string; stderr?: string }) => `${failed.stdout ?? ""}${failed.stderr ?? ""}`,
  );
}

async function joinAgent(name: string, ...pins: string[]): Promise<void> {
  const token = /tmj_\S+/.exec(await command("agents", "token", ...pins.flatMap((pin) => ["--pin", pin])))?.[0] ?? "";
  const env = { ...process.env, API_BASE_URL: mesh.demo };
  const args = [
    "agent",
    "--server",
    mesh.url,
    "--token",
    token,
    "--name",
    name,
    "--data",
    join(dir, name),
    "--slots",
    "4",
    "--allow-env",
    "API_BASE_URL",
  ];
  agents.push(spawn(binary, args, { cwd: dir, env, stdio: "ignore" }));
}

beforeAll(async () => {
  mkdirSync(join(project, ".testmesh"), { recursive: true });
  mkdirSync(join(project, "flows"));
  mkdirSync(images, { recursive: true });
  for (const [name, text] of Object.entries(shop)) writeFileSync(join(project, "flows", `${name}.testmesh.yaml`), text);
  [mesh, browser] = await Promise.all([startMesh(), startBrowser()]);
  writeFileSync(join(project, "staging.yaml"), "env: {REGION: eu-central-1}\n");
  await command("env", "put", "staging", "staging.yaml");
  await command("push");
  writeFileSync(join(project, "late.yaml"), shop.report?.replace("duration: 0s", "duration: 30m") ?? "");
  await Promise.all([joinAgent("eu-1", "zone=eu-1", "env=staging"), joinAgent("eu-2", "zone=eu-2", "env=staging")]);
  await seed();
}, patience);

// seed makes the runs: nights of all flows, changes that were tried between them, and
// last what stands on the first screen.
async function seed(): Promise<void> {
  for (let made = 0; made < wanted; ) {
    const nights = await Promise.all(
      Array.from({ length: 4 }, (_, i) =>
        command("run", "--remote", "--stored", "--format", "quiet", "--repeat", "4", "--parallel", "8", ...(i % 2 === 0 ? ["--env", "staging"] : [])),
      ),
    );
    for (const said of nights)
      made += [...said.matchAll(/(\d+) (?:passed|failed|errored|skipped)\b/g)].reduce((sum, match) => sum + Number(match[1]), 0);
    if (nights.every((said) => !/passed/.test(said))) throw new Error(`nothing was run: ${nights[0]}`);
  }
  for (const args of [["--tag", "smoke"], ["Checkout with a voucher"], ["Refund within 14 days"], ["Sign in and out"]]) {
    await command("run", "--remote", "--stored", "--format", "quiet", "--env", "staging", ...args);
  }
  await command("run", "--remote", "--stored", "--format", "quiet", "--env", "staging", "--var", "FAULT=wrong-price", "Checkout with a voucher");
  void command("run", "--remote", "late.yaml", "--env", "staging");
  void command("run", "--remote", "--stored", "Search the catalogue", "--target", "zone=us-1");
  await new Promise((resolve) => setTimeout(resolve, 3_000)); // long enough to look as if it had been running
}

afterAll(async () => {
  await browser?.close();
  for (const agent of agents) agent.kill("SIGKILL");
  await mesh?.stop();
  rmSync(dir, { recursive: true, force: true });
});

const failed = async (page: Page) => {
  await page.goto(`${mesh.url}/runs?status=failed&flow=Checkout%20with%20a%20voucher`);
  await page.getByRole("list", { name: "Runs" }).getByRole("link").first().click();
  await page.getByRole("list", { name: "Steps" }).getByRole("button").first().waitFor();
  await page.getByText("body.total == 59.80").first().waitFor();
};
const tab = async (page: Page, name: RegExp) => {
  await failed(page);
  await page.getByRole("tab", { name }).click();
};

const pages: Record<string, (page: Page) => Promise<void>> = {
  runs: async (page) => {
    await page.goto(`${mesh.url}/runs`);
    await page.getByRole("list", { name: "Runs" }).getByRole("link").nth(5).waitFor();
  },
  run: failed,
  "run-exchange": async (page) => {
    await tab(page, /^Exchange/);
    await page.getByRole("heading", { name: "Response" }).waitFor();
  },
  "run-log": async (page) => {
    await tab(page, /^Log/);
    await page.locator("[data-number]").first().waitFor();
  },
  "run-compare": async (page) => {
    await tab(page, /^Compare/);
    await page.getByRole("list", { name: "Steps that differ" }).getByRole("listitem").first().waitFor();
  },
  "run-waiting": async (page) => {
    await page.goto(`${mesh.url}/runs?status=queued`);
    await page
      .getByRole("link", { name: /Search the catalogue/ })
      .first()
      .click();
    await page.getByText("it has no label zone").waitFor();
  },
  queue: async (page) => {
    await page.goto(`${mesh.url}/runs/queue`);
    await page.getByRole("checkbox").nth(6).waitFor();
  },
  flows: async (page) => {
    await page.goto(`${mesh.url}/flows`);
    await page.getByRole("list", { name: "Flows" }).getByText(/\d %/).nth(7).waitFor();
  },
  flow: async (page) => {
    await page.goto(`${mesh.url}/flows`);
    await page
      .getByRole("link", { name: /Checkout with a voucher/ })
      .first()
      .click();
    await page.getByText(/\d of \d/).waitFor();
    await page.getByText("The catalogue is there").first().waitFor();
  },
  fleet: async (page) => {
    await page.goto(`${mesh.url}/fleet`);
    await page.getByRole("button", { name: "Unfold eu-1" }).click();
    await page.getByText("leader").waitFor();
  },
  "fleet-add": async (page) => {
    await page.goto(`${mesh.url}/fleet`);
    await page.getByRole("button", { name: "Add an agent" }).click();
    await page.getByRole("dialog").getByRole("textbox").first().waitFor();
  },
  report: async (page) => {
    await page.goto(pathToFileURL(join(dir, "report.html")).href);
    await page.getByRole("heading", { name: /FAIL|PASS|ERROR/ }).waitFor();
  },
};

const looks = {
  light: { colorScheme: "light", viewport: { width: 1280, height: 720 } },
  dark: { colorScheme: "dark", viewport: { width: 1280, height: 720 } },
  "phone-light": { colorScheme: "light", viewport: { width: 390, height: 844 } },
  "phone-dark": { colorScheme: "dark", viewport: { width: 390, height: 844 } },
} as const;

test(
  "every page, both themes, a desktop and a telephone",
  async () => {
    await command("run", "flows", "--format", "quiet", "--report", `html=${join(dir, "report.html")}`);
    const missed: string[] = [];
    for (const [look, options] of Object.entries(looks)) {
      const { page } = await openTab(browser, options);
      page.setDefaultTimeout(25_000);
      for (const [name, show] of Object.entries(pages)) {
        if (only.length > 0 && !only.includes(name)) continue;
        try {
          await show(page);
          await page.screenshot({ path: join(images, `${name}-${look}.png`) });
        } catch (err) {
          missed.push(`${name}-${look}: ${err}`);
        }
      }
    }
    if (missed.length > 0) throw new Error(missed.join("\n"));
  },
  patience,
);
