import { readFileSync } from "node:fs";
import { join } from "node:path";
import { AxeBuilder } from "@axe-core/playwright";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Mesh, openTab, root, startBrowser, startHostile, startMesh } from "./harness";

// A run beside the last of its flow that passed.

let mesh: Mesh;
let browser: Browser;
let moody: Awaited<ReturnType<typeof startHostile>>;
const flow = join(root, "ui/e2e/flows/moody.testmesh.yaml");

beforeAll(async () => {
  moody = await startHostile();
  [mesh, browser] = await Promise.all([startMesh({ HOSTILE_URL: moody.url }), startBrowser()]);
});
afterAll(async () => {
  await browser?.close();
  await mesh?.stop();
  moody?.server.close();
});

test("what differs from the last pass is read in one key, and its address is sent on", async () => {
  await mesh.queue(flow);
  const { page, complaints } = await openTab(browser);
  const failed = async () => {
    await page.goto(`${mesh.url}/runs?status=failed`);
    await page
      .getByRole("link", { name: /A moody system/ })
      .first()
      .click();
    await page.getByRole("button", { name: /^failed mood/ }).waitFor();
  };
  await failed();
  await page.keyboard.press("c");
  await page.getByText("none has passed yet").waitFor();
  const first = new URL(page.url()).pathname.split("/").at(-1) ?? "";

  moody.heal();
  await mesh.queue(flow);
  await failed();
  await page.keyboard.press("c");
  const steps = page.getByRole("list", { name: "Steps that differ" });
  await steps.getByRole("heading", { name: "mood" }).waitFor();
  const row = steps.getByRole("row", { name: /\$\.body\.mood/ });
  await row.waitFor();
  await expect.poll(() => row.getByRole("cell").allTextContents()).toEqual(['"good"', '"bad"']);
  await steps.getByText("passed").first().waitFor();
  await page.getByRole("row", { name: /^Status passed failed/ }).waitFor();
  await page
    .getByRole("row", { name: /^Files of the flow/ })
    .getByText("the same")
    .waitFor();
  await page.getByText("1 step alike").waitFor(); // the first; the last was skipped then, and not now

  // Another run is chosen; the address says which.
  const passed = await page.getByRole("combobox").inputValue();
  await page.goto(`${mesh.url}/runs/${passed}?view=compare&with=${first}`);
  await page.getByRole("row", { name: /^Status failed passed/ }).waitFor();
  await page.getByRole("button", { name: "mood" }).click();
  await page.getByRole("button", { name: /^passed mood/ }).waitFor();

  // One that is not kept is said, and nothing is red.
  await page.goto(`${mesh.url}/runs/${passed}?view=compare&with=0198c5b2-0000-7000-8000-000000000000`);
  await page.getByText("choose another above").waitFor();
  expect(complaints).toEqual([]);
});

test("a flow that was changed, and queued with another value, is seen beside what it was", async () => {
  const changed = readFileSync(flow, "utf8").replace("it is asked once", "it is asked again");
  expect(await mesh.queueFiles({ "moody.testmesh.yaml": changed }, "--var", `SYSTEM=${moody.url}`)).toContain("1 passed");
  const { page, complaints } = await openTab(browser);
  await page.goto(`${mesh.url}/runs`);
  await page
    .getByRole("link", { name: /A moody system/ })
    .first()
    .click();
  await page.getByRole("tab", { name: "Compare" }).click();
  const flowNow = page.getByRole("region", { name: "What changed in the flow" });
  await flowNow.getByText("it is asked again").waitFor();
  await flowNow.getByText("it is asked once").waitFor();
  const row = page.getByRole("row", { name: /\$\.SYSTEM/ });
  await expect.poll(() => row.getByRole("cell").allTextContents()).toEqual(["nothing", `"${moody.url}"`]);
  const axe = await new AxeBuilder({ page }).withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]).analyze();
  expect(axe.violations.map((violation) => `${violation.id}: ${violation.nodes.map((node) => node.html).join(" ")}`)).toEqual([]);
  expect(complaints).toEqual([]);
});

test.each(["light", "dark"] as const)("axe finds nothing beside the last pass, %s", async (colorScheme) => {
  const { page } = await openTab(browser, { colorScheme });
  await page.goto(`${mesh.url}/runs?status=failed`);
  await page
    .getByRole("link", { name: /A moody system/ })
    .first()
    .click();
  await page.getByRole("tab", { name: "Compare" }).click();
  await page.getByRole("row", { name: /\$\.body\.mood/ }).waitFor();
  const axe = await new AxeBuilder({ page }).withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]).analyze();
  expect(axe.violations.map((violation) => `${violation.id}: ${violation.nodes.map((node) => node.html).join(" ")}`)).toEqual([]);
});
