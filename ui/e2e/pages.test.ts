import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { AxeBuilder } from "@axe-core/playwright";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Mesh, openTab, startBrowser, startMesh } from "./harness";

// Every page, both themes, a desktop and a telephone: axe finds nothing, nothing is wider
// than the screen, the browser complains about nothing. SHOTS=1 writes pictures too.

let mesh: Mesh;
let browser: Browser;

beforeAll(async () => {
  [mesh, browser] = await Promise.all([startMesh(), startBrowser()]);
  await mesh.queue(
    "ui/e2e/flows/price.testmesh.yaml",
    "ui/e2e/flows/ansi.testmesh.yaml",
    "examples/flows/loop.testmesh.yaml",
    "examples/flows/retry.testmesh.yaml",
  );
  await mesh.push("price", "ansi");
});
afterAll(async () => {
  await browser?.close();
  await mesh?.stop();
});

const open = async (page: Page, flow: string) => {
  await page.goto(`${mesh.url}/runs`);
  await page
    .getByRole("link", { name: new RegExp(flow) })
    .first()
    .click();
  await page.getByRole("list", { name: "Steps" }).getByRole("button").first().waitFor();
};

const runs = async (page: Page) => {
  await page.goto(`${mesh.url}/runs`);
  await page.getByRole("link", { name: /Wrong price/ }).waitFor();
};

const pages: Record<string, (page: Page) => Promise<void>> = {
  runs,
  "runs-none": async (page) => {
    await page.goto(`${mesh.url}/runs?status=cancelled`);
    await page.getByText("No run is like that").waitFor();
  },
  run: async (page) => {
    await open(page, "Wrong price");
    await page.getByText("body.price == 31.50").waitFor();
  },
  "run-loop": (page) => open(page, "Every article"),
  "run-retries": async (page) => {
    await open(page, "The third try");
    await page.getByRole("button", { name: /try 1/ }).click();
    await page.getByText("Tried again").waitFor();
  },
  "run-exchange": async (page) => {
    await open(page, "Wrong price");
    await page.getByRole("tab", { name: /^Exchange/ }).click();
    await page.getByRole("heading", { name: "Response" }).waitFor();
  },
  "run-log": async (page) => {
    await open(page, "Colours of a log");
    await page.getByRole("tab", { name: /^Log/ }).click();
    await page.getByText("bold green").waitFor();
  },
  "run-attempts": async (page) => {
    await open(page, "Wrong price");
    await page.getByRole("tab", { name: /^Attempts/ }).click();
    await page.getByRole("cell", { name: "finished" }).waitFor();
  },
  flows: async (page) => {
    await page.goto(`${mesh.url}/flows`);
    await page.getByRole("list", { name: "Flows" }).getByRole("button").first().waitFor();
  },
  "flows-run": async (page) => {
    await page.goto(`${mesh.url}/flows`);
    await page.getByRole("button", { name: "Run Wrong price" }).click();
    await page.getByRole("button", { name: "Queue it" }).waitFor();
  },
  fleet: async (page) => {
    await page.goto(`${mesh.url}/fleet`);
    await page.getByRole("button", { name: "Unfold dev" }).click();
    await page.getByText("leader").waitFor();
  },
  "fleet-add": async (page) => {
    await page.goto(`${mesh.url}/fleet`);
    await page.getByRole("button", { name: "Add an agent" }).click();
    await page.getByRole("button", { name: "Make the join token" }).click();
    await page.getByText("Waiting for it to join").waitFor();
  },
  palette: async (page) => {
    await runs(page);
    await page.keyboard.press("Control+k");
    await page.getByRole("option", { name: /Wrong price/ }).waitFor();
  },
  shortcuts: async (page) => {
    await runs(page);
    await page.keyboard.press("?");
    await page.getByText("Single keys rest while you type").waitFor();
  },
};

const looks = {
  light: { colorScheme: "light" },
  dark: { colorScheme: "dark" },
  phone: { colorScheme: "light", viewport: { width: 375, height: 760 } },
} as const;

test.each(Object.entries(looks))("every page, %s", async (look, options) => {
  const { page, complaints } = await openTab(browser, options);
  const found: string[] = [];
  for (const [name, show] of Object.entries(pages)) {
    await show(page);
    if (process.env.SHOTS) {
      const dir = join(import.meta.dirname, "..", "shots");
      mkdirSync(dir, { recursive: true });
      await page.screenshot({ path: join(dir, `${name}-${look}.png`) });
    }
    const axe = await new AxeBuilder({ page }).withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]).analyze();
    for (const violation of axe.violations) {
      const where = violation.nodes.map((node) => node.html).join(" ");
      found.push(`${name}: ${violation.id}: ${where.slice(0, 300)}`);
    }
    const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (wider > 0) found.push(`${name}: ${wider} pixels wider than the screen`);
  }
  expect(found).toEqual([]);
  expect(complaints).toEqual([]);
});

test("axe finds what is wrong", async () => {
  const { page } = await openTab(browser);
  await runs(page);
  await page.evaluate(() => document.querySelector("main")?.append(document.createElement("img"), document.createElement("button")));
  const axe = await new AxeBuilder({ page }).analyze();
  expect(axe.violations.map((violation) => violation.id)).toEqual(expect.arrayContaining(["image-alt", "button-name"]));
});
