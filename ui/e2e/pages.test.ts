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
  await mesh.pushFiles({ "ansi.testmesh.yaml": "flow: {name: Colours of a log, steps: [{id: a, action: log, config: {message: a}}]}\n" });
  await mesh.push("price", "ansi", "order");
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
    await page.getByRole("list", { name: "Flows" }).getByRole("link").first().waitFor();
  },
  flow: async (page) => {
    await page.goto(`${mesh.url}/flows/show?file=order.testmesh.yaml`);
    await page.getByRole("region", { name: "The flow" }).waitFor();
  },
  "flow-compared": async (page) => {
    await page.goto(`${mesh.url}/flows/show?file=ansi.testmesh.yaml`);
    await page.getByRole("button", { name: /^Compare with/ }).click();
    await page.getByRole("region", { name: "What changed" }).waitFor();
  },
  "flow-revisions": async (page) => {
    await page.goto(`${mesh.url}/flows/show?file=ansi.testmesh.yaml&view=revisions`);
    await page.getByRole("list", { name: "Revisions" }).waitFor();
  },
  "flow-runs": async (page) => {
    await page.goto(`${mesh.url}/flows/show?file=price.testmesh.yaml&view=runs`);
    await page
      .getByRole("link", { name: /Wrong price/ })
      .first()
      .waitFor();
  },
  queue: async (page) => {
    await page.goto(`${mesh.url}/runs/queue`);
    await page.getByRole("checkbox").first().waitFor();
  },
  "queue-filled": async (page) => {
    await page.goto(`${mesh.url}/runs/queue?file=order.testmesh.yaml`);
    const buffer = Buffer.from("name,coupon,qty\nada,SPRING,1\nbob,,2\n");
    await page.getByLabel("Data file").setInputFiles({ name: "rows.csv", mimeType: "text/csv", buffer });
    await page.getByRole("button", { name: "Queue 2 runs" }).waitFor();
  },
  "queue-wrong": async (page) => {
    await page.goto(`${mesh.url}/runs/queue?file=order.testmesh.yaml&index=0`);
    await page.getByRole("textbox", { name: /^qty/ }).fill("many");
    await page.getByRole("textbox", { name: "Agents with labels" }).fill("zone=mars-1");
    await page.getByText("No agent fits now").waitFor();
  },
  fleet: async (page) => {
    await page.goto(`${mesh.url}/fleet`);
    await page.getByRole("button", { name: "Unfold dev" }).click();
    await page.getByText("leader").waitFor();
  },
  "fleet-pause": async (page) => {
    await page.goto(`${mesh.url}/fleet`);
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByRole("textbox", { name: /Note/ }).waitFor();
  },
  "fleet-add": async (page) => {
    await page.goto(`${mesh.url}/fleet`);
    await page.getByRole("button", { name: "Add an agent" }).click();
    await page.getByRole("button", { name: "Make the join token" }).waitFor();
  },
  "fleet-joining": async (page) => {
    await page.goto(`${mesh.url}/fleet`);
    await page.getByRole("button", { name: "Add an agent" }).click();
    await page.getByRole("button", { name: "Make the join token" }).click();
    await page.getByText("Waiting for it to join").waitFor();
    await page.getByRole("tab", { name: "systemd" }).click();
    await page.getByText("testmesh-agent install").first().waitFor();
  },
  palette: async (page) => {
    await runs(page);
    await page.keyboard.press("Control+k");
    await page
      .getByRole("option", { name: /Wrong price/ })
      .first()
      .waitFor();
  },
  shortcuts: async (page) => {
    await runs(page);
    await page.keyboard.press("?");
    await page.getByText("Single keys rest while you type").waitFor();
  },
};

// shot writes a picture of a page where somebody wants to look at it.
async function shot(page: Page, name: string): Promise<void> {
  if (!process.env.SHOTS) return;
  const dir = join(import.meta.dirname, "..", "shots");
  mkdirSync(dir, { recursive: true });
  await page.screenshot({ path: join(dir, `${name}.png`) });
}

// violations is what axe has against a page, by these rules alone where some are named.
async function violations(page: Page, name: string, ...rules: string[]): Promise<string[]> {
  const axe = new AxeBuilder({ page });
  const { violations } = await (rules.length > 0
    ? axe.withRules(rules)
    : axe.withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"])
  ).analyze();
  return violations.map(
    (one) =>
      `${name}: ${one.id}: ${one.nodes
        .map((node) => node.html)
        .join(" ")
        .slice(0, 300)}`,
  );
}

async function tooWide(page: Page, name: string): Promise<string[]> {
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  return wider > 0 ? [`${name}: ${wider} pixels wider than the screen`] : [];
}

// drawn waits until the browser has drawn the page. Chromium answers in the moment after a
// change of theme, once in a hundred times, with the color that a text had before.
async function drawn(page: Page): Promise<void> {
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
}

// minutes allows for a machine that does other things beside.
const minutes = 5 * 60_000;

test(
  "every page, in both themes",
  async () => {
    const { page, complaints } = await openTab(browser, { colorScheme: "light", viewport: { width: 1440, height: 900 } });
    const found: string[] = [];
    for (const [name, show] of Object.entries(pages)) {
      await show(page);
      await shot(page, `${name}-light`);
      found.push(...(await violations(page, name)), ...(await tooWide(page, name)));
      // The other theme has other colours, and nothing else.
      await page.emulateMedia({ colorScheme: "dark" });
      await page.waitForFunction(() => document.documentElement.dataset.theme === "dark");
      await drawn(page);
      await shot(page, `${name}-dark`);
      found.push(...(await violations(page, `${name}, dark`, "color-contrast")));
      await page.emulateMedia({ colorScheme: "light" });
    }
    expect(found).toEqual([]);
    expect(complaints).toEqual([]);
  },
  minutes,
);

test(
  "every page, on a telephone",
  async () => {
    const { page, complaints } = await openTab(browser, { colorScheme: "light", viewport: { width: 390, height: 844 } });
    const found: string[] = [];
    for (const [name, show] of Object.entries(pages)) {
      await show(page);
      await shot(page, `${name}-phone`);
      // What the width changes: how large things are, and what scrolls.
      found.push(...(await violations(page, name, "target-size", "scrollable-region-focusable", "color-contrast")), ...(await tooWide(page, name)));
    }
    expect(found).toEqual([]);
    expect(complaints).toEqual([]);
  },
  minutes,
);

test("axe finds what is wrong", async () => {
  const { page } = await openTab(browser);
  await runs(page);
  await page.evaluate(() => document.querySelector("main")?.append(document.createElement("img"), document.createElement("button")));
  const axe = await new AxeBuilder({ page }).analyze();
  expect(axe.violations.map((violation) => violation.id)).toEqual(expect.arrayContaining(["image-alt", "button-name"]));
});
