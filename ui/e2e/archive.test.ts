import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { binary, firstLines, type Mesh, openTab, root, startBrowser, startMesh } from "./harness";

// Recordings: written by a run here, by a run of agents, and of what a control plane has
// kept; opened by `testmesh show`, which serves them to this machine alone.

const dir = mkdtempSync(join(tmpdir(), "testmesh-archive-"));
const run = promisify(execFile);
let browser: Browser;
let mesh: Mesh;

beforeAll(async () => {
  [mesh, browser] = await Promise.all([startMesh(), startBrowser()]);
});
afterAll(async () => {
  await browser?.close();
  await mesh?.stop();
  rmSync(dir, { recursive: true, force: true });
});

async function show(file: string): Promise<{ url: string; process: ChildProcess }> {
  const process = spawn(binary, ["show", file], { cwd: dir });
  const said = await firstLines(process, /Press Ctrl-C/);
  return { url: /http:\S+/.exec(said)?.[0] ?? "", process };
}

async function ended(process: ChildProcess): Promise<number | null> {
  const code = new Promise<number | null>((resolve) => process.once("exit", resolve));
  process.kill("SIGINT");
  return code;
}

// status is what a request with another name, or of another page, is answered.
function status(url: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    get(url, { headers }, (res) => {
      res.resume();
      resolve(res.statusCode ?? 0);
    }).once("error", reject);
  });
}

test("a recording of this machine is shown, to this machine alone", async () => {
  const lines = Array.from({ length: 1_000 }, (_, i) => `line ${i} of a long message, which is not cut`).join("\n");
  const items = Array.from({ length: 40 }, (_, i) => i);
  const long = {
    name: "long",
    steps: [{ id: "each", action: "for_each", config: { items, steps: [{ id: "say", action: "log", config: { message: lines } }] } }],
  };
  writeFileSync(join(dir, "long.testmesh.yaml"), JSON.stringify({ flow: long }));
  writeFileSync(join(dir, "bad.testmesh.yaml"), "flow: {name: bad, steps: [{id: check, action: assert, assert: [1 == 2]}]}\n");
  await run(binary, ["run", ".", "--format", "quiet", "--record", "all.tmrun"], { cwd: dir, maxBuffer: 64 << 20 }).catch(() => undefined);
  const shown = await show("all.tmrun");
  const { page, complaints } = await openTab(browser);
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== new URL(shown.url).origin && !request.url().startsWith("data:")) complaints.push(request.url());
  });
  await page.goto(shown.url);
  await page.getByRole("heading", { name: "FAIL" }).waitFor();
  await page.getByRole("link", { name: /long/ }).click();
  await page.getByRole("tab", { name: /^Log 40,0/ }).click();
  await page.getByRole("textbox", { name: "Search the log" }).fill("line 999 ");
  await page.getByText("40 lines", { exact: true }).waitFor();
  expect(complaints).toEqual([]);

  const data = `${shown.url}recording/runs.json`;
  expect(await status(data, {})).toBe(200);
  expect(await status(data, { Host: "evil.example" })).toBe(403);
  expect(await status(data, { Origin: "http://evil.example" })).toBe(403);
  expect(await status(data, { "Sec-Fetch-Site": "cross-site" })).toBe(403);
  expect(await status(shown.url, { "Sec-Fetch-Site": "cross-site" })).toBe(200); // a link leads here
  const answer = await page.request.get(shown.url);
  expect(answer.headers()["content-security-policy"]).toContain("default-src 'none'");
  expect(await ended(shown.process)).toBe(0);
});

test("what agents ran is recorded, and so is what a control plane has kept, with its files", async () => {
  const remote = join(dir, "remote.tmrun");
  await mesh.queue("examples/failing/errored-endless.yaml", "--format", "quiet", "--record", remote);
  const { runs } = JSON.parse(await mesh.command("runs", "-o", "json")) as { runs: { id: string }[] };
  const kept = join(dir, "kept.tmrun");
  await mesh.command("results", runs[0]?.id ?? "", "--record", kept);
  for (const [file, agent] of [
    [remote, "dev"],
    [kept, "dev"],
  ] as const) {
    const shown = await show(file);
    const { page, complaints } = await openTab(browser);
    await page.goto(shown.url);
    await page.getByRole("heading", { name: "endless", level: 1 }).waitFor(); // one run: its page
    await page.getByText(`agent ${agent}`).waitFor();
    await page.getByRole("tab", { name: /^Files/ }).click();
    await page.getByRole("button", { name: "Look at endless.result.json" }).click();
    await page.getByRole("list").getByText("status", { exact: false }).first().waitFor();
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save endless.result.json" }).click()]);
    expect(JSON.parse(readFileSync(await download.path(), "utf8"))).toMatchObject({ status: 200 });
    expect(complaints).toEqual([]);
    await ended(shown.process);
  }
  const text = await run(binary, ["show", kept, "--format", "text"], { cwd: root });
  expect(text.stdout).toMatch(/endless/);
  expect(text.stdout).toContain("errored");
});

test("a run is compared with another of its recording", async () => {
  const rows = { name: "rows", data: [{ n: 1 }, { n: 5 }], input: { n: { type: "integer" } } };
  const steps = [
    { id: "value", action: "set", config: { twice: ["$", "{n * 2}"].join("") } },
    { id: "check", action: "assert", assert: ["n < 3"] },
  ];
  writeFileSync(join(dir, "rows.yaml"), JSON.stringify({ flow: { ...rows, steps } }));
  await run(binary, ["run", "rows.yaml", "--format", "quiet", "--record", "rows.tmrun"], { cwd: dir }).catch(() => undefined);
  const shown = await show("rows.tmrun");
  const { page, complaints } = await openTab(browser);
  await page.goto(shown.url);
  await page.getByRole("link", { name: /row 2/ }).click();
  await page.getByRole("tab", { name: "Compare" }).click();
  await page.getByRole("row", { name: /^Status passed failed/ }).waitFor();
  const row = page.getByRole("row", { name: /\$\.twice/ }).first();
  await row.waitFor();
  await expect.poll(() => row.getByRole("cell").allTextContents()).toEqual(["2", "10"]);
  expect(complaints).toEqual([]);
  await ended(shown.process);
});
