import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Mesh, openTab, startBrowser, startMesh } from "./harness";
import { bound, longestTask, say } from "./trace";

// A list of 10,000 runs is scrolled without a task that somebody would notice.

const many = 10_000;
let mesh: Mesh;
let browser: Browser;

beforeAll(async () => {
  [mesh, browser] = await Promise.all([startMesh(), startBrowser()]);
  await mesh.push("nowhere");
});
afterAll(async () => {
  await browser?.close();
  await mesh?.stop();
});

async function wheel(page: Page, by: number): Promise<void> {
  await page.mouse.move(700, 500);
  for (let i = 0; i < 60; i++) {
    await page.mouse.wheel(0, i % 20 === 19 ? by * 100 : by);
    await page.evaluate(() => new Promise(requestAnimationFrame));
  }
}

test("10,000 runs are loaded as somebody scrolls, and scrolled without a stop", async () => {
  // Runs that no agent takes: they are there, and nothing else happens.
  const wanted = { stored: {}, source: { repeat: many, target: { match: { zone: { values: ["mars-1"] } } } } };
  const answer = await fetch(`${mesh.url}/api/v1/batches`, {
    method: "POST",
    body: JSON.stringify(wanted),
    headers: { "Content-Type": "application/json" },
  });
  expect(answer.status).toBe(200);
  const { page } = await openTab(browser);
  await page.goto(`${mesh.url}/runs`);
  const list = page.getByRole("list", { name: "Runs" });
  await list.getByRole("link").first().waitFor();
  const older = await longestTask(browser, page, async () => {
    await page.mouse.move(700, 500);
    await page.waitForFunction(
      (most) => {
        const rows = document.querySelector("ul[aria-label=Runs]");
        rows?.parentElement?.scrollTo({ top: rows.scrollHeight });
        return Number(rows?.querySelector("li")?.getAttribute("aria-setsize")) > most;
      },
      many,
      { timeout: 200_000 },
    );
  });
  say("10,000 runs, as they are loaded", older);
  await page.getByText("These are the newest 10,000").waitFor();
  const ms = await longestTask(browser, page, async () => {
    await wheel(page, -400);
    await wheel(page, 400);
  });
  say("10,000 runs, as they are scrolled", ms);
  await expect.poll(() => list.getByRole("link").count()).toBeLessThan(80); // what is not on the screen is not there
  expect(Math.max(older, ms)).toBeLessThan(bound);
}, 300_000);
