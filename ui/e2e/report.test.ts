import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { AxeBuilder } from "@axe-core/playwright";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { binary, openTab, startBrowser, startHostile } from "./harness";

// The report of the command line, opened from the disk as a person does: it asks for
// nothing, complains of nothing, and runs nothing of what was answered.

const dir = mkdtempSync(join(tmpdir(), "testmesh-report-"));
const many = join(dir, "many.html");
const single = join(dir, "single.html");
const run = promisify(execFile);
let browser: Browser;
let hostile: Awaited<ReturnType<typeof startHostile>>;

const flows = `flow: {name: fine, tags: [smoke], steps: [{id: hello, action: log, config: {message: "hello <b>you</b>"}}]}
---
flow:
  name: "wrong <img src=x onerror=document.title='owned'>"
  env: {SYSTEM: "\${HOSTILE_URL}"}
  steps:
    - {id: ask, action: http.request, config: {url: "\${SYSTEM}/numbers"}}
    - {id: page, action: http.request, config: {url: "\${SYSTEM}/"}, assert: [status == 404]}
    - {id: never, action: log, config: {message: no}}
---
flow: {name: unjudged, steps: [{id: ping, action: http.request, config: {url: "http://127.0.0.1:1/"}}]}
---
flow: {name: skipped, steps: [{id: never, action: log, when: 1 > 2, config: {message: no}}]}
`;

async function command(...args: string[]): Promise<string> {
  const env = { ...process.env, HOSTILE_URL: hostile.url, NO_COLOR: "1" };
  return run(binary, args, { cwd: dir, env, maxBuffer: 64 << 20 }).then(
    (done) => done.stdout,
    (failed: { stdout?: string; stderr?: string }) => `${failed.stdout ?? ""}${failed.stderr ?? ""}`,
  );
}

beforeAll(async () => {
  [browser, hostile] = await Promise.all([startBrowser(), startHostile()]);
  writeFileSync(join(dir, "flows.testmesh.yaml"), flows);
  writeFileSync(join(dir, "one.testmesh.yaml"), "flow: {name: alone, steps: [{id: check, action: assert, assert: [1 == 2]}]}\n");
  await command("run", "flows.testmesh.yaml", "--format", "quiet", "--report", `html=${many}`);
  await command("run", "one.testmesh.yaml", "--format", "quiet", "--report", `html=${single}`);
});
afterAll(async () => {
  await browser?.close();
  hostile?.server.close();
  rmSync(dir, { recursive: true, force: true });
});

// open opens a file, with what it asks the network for.
async function open(file: string, options: BrowserContextOptions = {}): Promise<{ page: Page; complaints: string[] }> {
  const { page, complaints } = await openTab(browser, options);
  const url = pathToFileURL(file).href;
  page.on("request", (request) => {
    if (request.url() !== url && !request.url().startsWith("blob:")) complaints.push(`asked for ${request.url()}`);
  });
  await page.goto(url);
  await page.getByRole("main").waitFor();
  return { page, complaints };
}

const names = (page: Page) =>
  page.getByRole("list", { name: "Runs" }).getByRole("link").locator(".font-medium:not([class*=text-])").allTextContents();

test("what did not pass stands first, and is filtered and searched", async () => {
  const { page, complaints } = await open(many);
  await page.getByRole("heading", { name: "FAIL" }).waitFor();
  await expect.poll(() => page.title()).toBe("FAIL 1 failed 1 errored 1 skipped 1 passed · TestMesh");
  await expect.poll(() => names(page)).toEqual(["wrong <img src=x onerror=document.title='owned'>", "unjudged", "skipped", "fine"]);
  await page.getByText(/page: status == 404: expected 404/).waitFor();
  await page.getByRole("button", { name: "1 errored" }).click();
  await expect.poll(() => names(page)).toEqual(["unjudged"]);
  await page.reload(); // what is looked at is in the address
  await expect.poll(() => names(page)).toEqual(["unjudged"]);
  await page.getByRole("button", { name: "4 runs" }).click();
  await page.keyboard.press("/");
  await page.keyboard.type("SMOKE");
  await page.getByText("1 run of 4").waitFor();
  await expect.poll(() => names(page)).toEqual(["fine"]);
  await page.getByRole("textbox", { name: "Search runs" }).fill("nothing like it");
  await page.getByText("No run is like that").waitFor();
  await page.getByRole("button", { name: "Show all runs" }).click();
  await expect.poll(() => names(page)).toHaveLength(4);
  expect(complaints).toEqual([]);
});

test("a run opens with its failure, and what was answered is data", async () => {
  const { page, complaints } = await open(many);
  await page.getByRole("link", { name: /wrong/ }).click();
  await page.getByText("status == 404", { exact: true }).waitFor();
  await page.getByRole("tab", { name: /^Exchange/ }).click();
  await page.locator("pre", { hasText: "<svg onload" }).waitFor();
  await page.getByRole("list", { name: "Steps" }).getByRole("button", { name: /ask/ }).click();
  await page.getByRole("tab", { name: /^Exchange/ }).click();
  for (const exact of ["12345678901234567890", "59.80"]) await page.getByText(exact, { exact: true }).waitFor();
  expect(await page.locator("main script, main img[onerror], main svg[onload], main iframe").count()).toBe(0);
  expect(await page.getByRole("button", { name: "Run again" }).count()).toBe(0); // nothing can be run from a file
  const link = page.url();
  await page.goto("about:blank");
  await page.goto(link);
  await page.getByText("12345678901234567890", { exact: true }).waitFor();
  await page.getByRole("link", { name: "Runs", exact: true }).click();
  await page.getByRole("heading", { name: "FAIL" }).waitFor();
  expect(complaints).toEqual([]);
});

test("a report of one run opens with it, in under a megabyte", async () => {
  const { page, complaints } = await open(single);
  await page.getByText("1 == 2", { exact: true }).waitFor();
  await expect.poll(() => page.title()).toBe("✗ alone · TestMesh");
  expect(statSync(single).size).toBeLessThan(1_000_000);
  expect(complaints).toEqual([]);
});

test("a picture that a run stored is looked at, and a drawing that could hold a script is saved alone", async () => {
  const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
  const stored = (name: string, type: string) => {
    const at = { phase: "steps", step_id: "check", path: ["check"], try: 1, time: "2026-01-01T00:00:00Z", seq: 9 };
    return JSON.stringify({ v: 1, type: "step.artifact", ...at, name, media_type: type, size: 70, sha256: "ab" });
  };
  const events = `${stored("shot.png", "image/png")},\n${stored("drawing.svg", "image/svg+xml")},\n`;
  const text = readFileSync(single, "utf8")
    .replace('class="events">[', `class="events">[${events}`)
    .replace('<div id="root">', `<script type="application/json" class="file" data-sha256="ab">"${png}"</script>\n<div id="root">`);
  writeFileSync(join(dir, "picture.html"), text);
  const { page, complaints } = await open(join(dir, "picture.html"));
  await page.getByRole("tab", { name: /^Files/ }).click();
  await page.getByRole("button", { name: "Look at shot.png" }).click();
  const picture = page.getByRole("img", { name: "shot.png" });
  await picture.waitFor();
  expect(await picture.evaluate((img: HTMLImageElement) => img.naturalWidth)).toBe(1);
  await expect.poll(() => page.getByRole("button", { name: /drawing\.svg/ }).count()).toBe(1);
  await page.getByRole("button", { name: "Save drawing.svg" }).waitFor();
  expect(complaints).toEqual([]);
});

test("without JavaScript the verdict and the failures can be read", async () => {
  const { page } = await openTab(browser, { javaScriptEnabled: false });
  await page.goto(pathToFileURL(many).href);
  const said = (await page.locator("noscript").allInnerTexts()).join("\n"); // what is seen, and no more
  for (const text of [
    "FAIL 1 passed, 1 failed, 1 errored, 1 skipped",
    "errored: unjudged",
    "E-CONN connection refused: 127.0.0.1:1",
    "expected 404",
  ]) {
    expect(said).toContain(text);
  }
});

test("a report of 1,500 runs opens, and lays out only what is seen", async () => {
  const file = join(dir, "large.html");
  await command("run", "flows.testmesh.yaml", "--format", "quiet", "--parallel", "4", "--repeat", "375", "--report", `html=${file}`);
  const { page, complaints } = await open(file);
  await page.getByRole("button", { name: "1,500 runs" }).waitFor();
  await expect.poll(() => page.getByRole("list", { name: "Runs" }).getByRole("link").count()).toBeLessThan(60);
  await page.getByRole("textbox", { name: "Search runs" }).fill("unjudged");
  await page.getByText("375 runs of 1,500").waitFor();
  expect(complaints).toEqual([]);
});

test.each([
  ["light", { colorScheme: "light" }],
  ["dark", { colorScheme: "dark" }],
  ["phone", { colorScheme: "light", viewport: { width: 375, height: 760 } }],
] as const)("axe finds nothing in the report, %s", async (_, options) => {
  const { page, complaints } = await open(many, options);
  const found: string[] = [];
  const look = async (name: string) => {
    const axe = await new AxeBuilder({ page }).withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]).analyze();
    for (const violation of axe.violations)
      found.push(
        `${name}: ${violation.id}: ${violation.nodes
          .map((node) => node.html)
          .join(" ")
          .slice(0, 300)}`,
      );
    const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (wider > 0) found.push(`${name}: ${wider} pixels wider than the screen`);
  };
  await look("list");
  await page.getByRole("link", { name: /wrong/ }).click();
  await page.getByText("status == 404", { exact: true }).waitFor();
  await look("run");
  expect(found).toEqual([]);
  expect(complaints).toEqual([]);
});

test("a script that was changed is not run", async () => {
  const file = join(dir, "broken.html");
  const text = readFileSync(single, "utf8");
  writeFileSync(file, text.replace('<script type="module">', '<script type="module">/**/'));
  const { page, complaints } = await openTab(browser);
  await page.goto(pathToFileURL(file).href);
  await expect.poll(() => complaints.join("\n")).toContain("Content Security Policy");
  expect(await page.getByRole("main").count()).toBe(0);
});
