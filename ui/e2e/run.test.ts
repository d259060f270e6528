import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Mesh, openTab, root, startBrowser, startMesh } from "./harness";

// The page of a run opens with what a person came for.

const inside = join(root, ".cache", "ui", "run-page"); // what is run remotely is of the project
let mesh: Mesh;
let browser: Browser;

beforeAll(async () => {
  [mesh, browser] = await Promise.all([startMesh(), startBrowser()]);
  const steps = Array.from({ length: 30 }, (_, i) => ({
    id: `step_${i}`,
    name: `A step with a longer name, number ${i}`,
    action: "set",
    config: { n: i },
  }));
  const check = { id: "check", name: "The step that fails", action: "assert", assert: ["n == 29", "n == 1"] };
  const after = steps.map((step) => ({ ...step, id: `after_${step.id}` }));
  const teardown = [{ id: "tidy", action: "log", config: { message: "tidy" } }];
  mkdirSync(inside, { recursive: true });
  writeFileSync(
    join(inside, "many.yaml"),
    JSON.stringify({ flow: { name: "Many steps", tags: ["smoke", "orders"], steps: [...steps, check, ...after], teardown } }),
  );
  await mesh.queue(join(inside, "many.yaml"));
});
afterAll(async () => {
  await browser?.close();
  await mesh?.stop();
  rmSync(inside, { recursive: true, force: true });
});

test.each([
  ["a small laptop", { width: 1280, height: 720 }],
  ["a telephone", { width: 390, height: 844 }],
])("on %s the claim that did not hold is read without scrolling, among 61 steps", async (_, viewport) => {
  const { page, complaints } = await openTab(browser, { viewport });
  await page.goto(`${mesh.url}/runs`);
  await page.getByRole("link", { name: /Many steps/ }).click();
  const claim = page.getByText("n == 1", { exact: true });
  await claim.waitFor();
  const got = page.getByText(/expected 1 .*got 29/);
  for (const what of [claim, got.first()]) {
    const box = await what.boundingBox();
    expect(box?.y ?? -1).toBeGreaterThan(0);
    expect((box?.y ?? 9_999) + (box?.height ?? 0)).toBeLessThan(viewport.height - (viewport.width < 640 ? 49 : 0)); // not under the bar at the bottom
  }
  await page.getByRole("button", { name: /failed The step that fails/ }).waitFor(); // and the step is in sight, too
  await page.getByRole("list", { name: "Where the time went" }).getByText(/^ran /).waitFor();
  expect(complaints).toEqual([]);
});
