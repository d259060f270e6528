import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Mesh, openTab, root, startBrowser, startMesh } from "./harness";

// What is long stays quick: a list that is scrolled, and a log of 50,000 lines. A page is
// slow where its tasks keep the browser from drawing.

const dir = join(root, ".cache", "ui", "flows");
// busy allows for a machine that does other things beside; a list that lays out all of
// its rows has a browser stand still for all of the time.
const busy = 0.4;
let mesh: Mesh;
let browser: Browser;

beforeAll(async () => {
  [mesh, browser] = await Promise.all([startMesh(), startBrowser()]);
  mkdirSync(dir, { recursive: true });
  const message = Array.from({ length: 1_000 }, (_, i) => `line ${i} of a message that is long`).join("\n");
  const items = Array.from({ length: 50 }, (_, i) => i);
  const flow = {
    name: "A long log",
    steps: [{ id: "each", action: "for_each", config: { items, steps: [{ id: "say", action: "log", config: { message } }] } }],
  };
  writeFileSync(join(dir, "long.testmesh.yaml"), JSON.stringify({ flow }));
  await mesh.queue(join(dir, "long.testmesh.yaml"));
  await mesh.queue("--repeat", "250", "ui/e2e/flows/nowhere.testmesh.yaml");
});
afterAll(async () => {
  await browser?.close();
  await mesh?.stop();
  rmSync(dir, { recursive: true, force: true });
});

// scrolled is which part of the time of scrolling went into tasks of over 50 ms.
async function scrolled(page: Page): Promise<number> {
  await page.evaluate(() => {
    const seen: { long: number } = { long: 0 };
    Object.assign(globalThis, { seen });
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) seen.long += entry.duration;
    }).observe({ entryTypes: ["longtask"] });
  });
  await page.mouse.move(700, 500);
  const began = Date.now();
  for (let i = 0; i < 50; i++) {
    await page.mouse.wheel(0, 400);
    await page.evaluate(() => new Promise(requestAnimationFrame));
  }
  const took = Date.now() - began;
  return (await page.evaluate(() => (globalThis as unknown as { seen: { long: number } }).seen.long)) / took;
}

test("a list of runs is scrolled without a stop, and only what is seen is laid out", async () => {
  const { page } = await openTab(browser);
  await page.goto(`${mesh.url}/runs`);
  const rows = page.getByRole("list", { name: "Runs" }).getByRole("link");
  await rows.first().waitFor();
  expect(await scrolled(page)).toBeLessThan(busy);
  expect(await rows.count()).toBeLessThan(80);
  await page.getByRole("link", { name: /A long log/ }).waitFor(); // older than the newest 200
});

test("a log of 50,000 lines is scrolled and searched", async () => {
  const { page } = await openTab(browser);
  await page.goto(`${mesh.url}/runs?flow=A%20long%20log`);
  await page.getByRole("link", { name: /A long log/ }).click();
  await page.getByRole("tab", { name: /^Log 50,/ }).click();
  expect(await scrolled(page)).toBeLessThan(busy);
  await page.getByRole("textbox", { name: "Search the log" }).fill("line 777 ");
  await page.getByText("50 lines", { exact: true }).waitFor();
  await page.keyboard.press("Enter");
  await page.waitForURL(/line=/);
  await page.locator("[aria-current=true]", { hasText: "line 777 of" }).waitFor();
});
