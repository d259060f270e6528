import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { binary, firstLines, type Mesh, openTab, root, startBrowser, startMesh } from "./harness";
import { bound, longestTask, say } from "./trace";

// A log of a million lines, and a run of more than 500 events a second, are scrolled
// without a task that takes longer than a frame or three.

const dir = mkdtempSync(join(tmpdir(), "testmesh-speed-"));
const inside = join(root, ".cache", "ui", "log-speed"); // what is run remotely is of the project
const run = promisify(execFile);
let browser: Browser;
let mesh: Mesh;
let shown: ChildProcess | undefined;

beforeAll(async () => {
  [mesh, browser] = await Promise.all([startMesh(), startBrowser()]);
});
afterAll(async () => {
  await browser?.close();
  await mesh?.stop();
  shown?.kill("SIGTERM");
  for (const one of [dir, inside]) rmSync(one, { recursive: true, force: true });
});

async function scroll(page: Page, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    await page.mouse.wheel(0, i % 10 === 9 ? 400_000 : 600);
    await page.evaluate(() => new Promise(requestAnimationFrame));
  }
}

test("a log of a million lines is scrolled, searched and followed", async () => {
  const message = Array.from({ length: 1_000 }, (_, i) => `line ${i} of a message, as a service writes them`).join("\n");
  const items = Array.from({ length: 1_000 }, (_, i) => i);
  const flow = {
    name: "A million lines",
    steps: [{ id: "each", action: "for_each", config: { items, steps: [{ id: "say", action: "log", config: { message } }] } }],
  };
  writeFileSync(join(dir, "million.yaml"), JSON.stringify({ flow }));
  await run(binary, ["run", "million.yaml", "--format", "quiet", "--record", "million.tmrun"], { cwd: dir, maxBuffer: 64 << 20 });
  shown = spawn(binary, ["show", "million.tmrun"], { cwd: dir });
  const url = /http:\S+/.exec(await firstLines(shown, /Press Ctrl-C/))?.[0] ?? "";
  const { page } = await openTab(browser);
  page.setDefaultTimeout(150_000);
  await page.goto(url);
  await page.getByRole("tab", { name: /^Log 1,00[0-9],/ }).click();
  await page.mouse.move(700, 500);
  const ms = await longestTask(browser, page, () => scroll(page, 30));
  say("a log of a million lines", ms);
  expect(ms).toBeLessThan(bound);
  await expect.poll(() => page.locator("[data-number]").count()).toBeLessThan(150); // what is not on the screen is not there
  await page.keyboard.press("f");
  await page.getByText(/✓ each {2}passed/).waitFor();
  await page.getByRole("textbox", { name: "Search the log" }).fill("line 777 ");
  await page.getByText("1,000 lines", { exact: true }).waitFor();
  await page.keyboard.press("Enter");
  await page.locator("[aria-current=true]", { hasText: "line 777 of" }).waitFor();
}, 300_000);

test("a run of 500 events a second is scrolled while it goes on", async () => {
  // A round is six events, and takes 10 ms.
  const round = [
    { id: "wait", action: "delay", config: { duration: "10ms" } },
    { id: "say", action: "log", config: { message: "a line of a round" } },
  ];
  const items = (n: number) => Array.from({ length: n }, (_, i) => i);
  const inner = { id: "inner", action: "for_each", config: { items: items(500), steps: round } };
  const flow = { name: "Busy", steps: [{ id: "outer", action: "for_each", config: { items: items(40), steps: [inner] } }] };
  mkdirSync(inside, { recursive: true });
  writeFileSync(join(inside, "busy.yaml"), JSON.stringify({ flow }));
  const ended = mesh.queue(join(inside, "busy.yaml"));
  const { page } = await openTab(browser);
  await page.goto(`${mesh.url}/runs`);
  await page.getByRole("link", { name: /running Busy/ }).click();
  await page.getByRole("tab", { name: /^Log [0-9]{3}/ }).waitFor();
  const began = Date.now();
  const ms = await longestTask(browser, page, async () => {
    await page.mouse.move(200, 500);
    await scroll(page, 15);
    await page.getByRole("tab", { name: /^Log/ }).click();
    await scroll(page, 15);
  });
  say(`a live run, ${Math.round((Date.now() - began) / 1000)} s of it`, ms);
  expect(ms).toBeLessThan(bound);
  await expect.poll(() => page.title()).toBe("◐ Busy · TestMesh"); // it went on meanwhile
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("button", { name: "Cancel the run" }).click();
  expect(await ended).toContain("cancelled");
}, 300_000);
