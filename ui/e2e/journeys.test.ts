import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { binary, ended, firstLines, type Mesh, openTab, root, startBrowser, startHostile, startMesh, stopped } from "./harness";

const flow = (name: string) => `ui/e2e/flows/${name}.testmesh.yaml`;

let mesh: Mesh;
let browser: Browser;
let hostile: Awaited<ReturnType<typeof startHostile>>;

beforeAll(async () => {
  hostile = await startHostile();
  [mesh, browser] = await Promise.all([startMesh({ HOSTILE_URL: hostile.url }), startBrowser()]);
});
afterAll(async () => {
  await browser?.close();
  await mesh?.stop();
  hostile?.server.close();
});

test("from the first start to the first green run", async () => {
  const { page, complaints } = await openTab(browser);
  await page.goto(mesh.url);
  await page.getByText("Nothing was run here yet").waitFor();
  await expect.poll(() => page.getByRole("region", { name: "the command" }).textContent()).toContain(`--server ${mesh.url}`);
  await mesh.queue(flow("ansi"));
  await page.getByRole("link", { name: /passed Colours of a log/ }).waitFor();
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Colours of a log", level: 1 }).waitFor();
  await expect.poll(() => page.title()).toBe("✓ Colours of a log · TestMesh");
  await page.getByRole("tab", { name: /^Log/ }).click();
  const green = page.getByText("bold green", { exact: true });
  expect(await green.evaluate((span) => getComputedStyle(span).fontWeight)).toBe("600");
  await expect.poll(() => page.getByText("<b>no markup</b>").count()).toBe(1);
  expect(await page.locator("a[href*=evil]").count()).toBe(0);
  await page.getByText("6", { exact: true }).click();
  await page.waitForURL(/line=/);
  await page.goto(page.url());
  await page.locator("[aria-current=true]").getByText("6", { exact: true }).waitFor();
  expect(complaints).toEqual([]);
});

test("a failing assertion is read without scrolling, and what failed is run again from there until it passes", async () => {
  await mesh.queue(flow("moody"));
  const { page, complaints } = await openTab(browser);
  await page.goto(`${mesh.url}/runs?flow=A%20moody%20system`);
  await page.getByRole("link", { name: /A moody system/ }).click();
  const claim = page.getByText('body.mood == "good"');
  await claim.waitFor();
  const box = await claim.boundingBox();
  expect((box?.y ?? 9_999) + (box?.height ?? 0)).toBeLessThan(800);
  await page.getByText('"bad"', { exact: true }).first().waitFor();
  hostile.heal();
  const before = new URL(page.url()).pathname;
  await page.getByRole("button", { name: /^failed mood/ }).click();
  await page.getByRole("button", { name: "More ways to run again" }).click();
  await page.getByRole("menuitem", { name: "From step mood" }).click();
  await page.waitForURL((url) => url.pathname !== before);
  await page.waitForFunction(() => document.title.startsWith("✓"));
  await page.getByRole("button", { name: /^passed mood/ }).waitFor();
  expect(await page.getByRole("button", { name: /^passed first/ }).count()).toBe(0); // it was not run again
  expect(complaints).toEqual([]);
});

test("a run is watched from its first line, and cancelled with a reason", async () => {
  const ended = mesh.queue(flow("slow"));
  const { page, complaints } = await openTab(browser);
  await page.goto(`${mesh.url}/runs`);
  await page.getByRole("link", { name: /running Takes its time/ }).click();
  await page.getByRole("tab", { name: /^Log/ }).click();
  await page.getByText("it begins", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("textbox", { name: /Why/ }).fill("it takes too long");
  await page.getByRole("button", { name: "Cancel the run" }).click();
  await page.waitForFunction(() => document.title.startsWith("○"));
  await page.getByText("it takes too long").first().waitFor();
  expect(await ended).toContain("cancelled");
  expect(complaints).toEqual([]);
});

test("the only agent is paused with a note, and the run says why it waits", async () => {
  const { page, complaints } = await openTab(browser);
  await page.goto(`${mesh.url}/fleet`);
  await page.getByRole("button", { name: "Pause" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox", { name: /Note/ }).fill("new disk");
  await dialog.getByRole("button", { name: "Pause" }).click();
  await page.getByText("“new disk”").waitFor();
  await page.mouse.move(0, 0); // over the list new runs would wait
  const ended = mesh.queue(flow("nowhere"));
  await page.keyboard.press("g");
  await page.keyboard.press("r");
  await page.getByRole("link", { name: /queued For another zone/ }).click();
  await page.getByText("no agent fits").waitFor();
  await page.getByRole("list", { name: "Agents" }).getByText("paused").waitFor();
  await page.goto(`${mesh.url}/fleet`);
  await page.getByRole("button", { name: "Resume" }).click();
  await dialog.getByRole("button", { name: "Resume" }).click();
  expect(await ended).toContain("PASS");
  expect(complaints).toEqual([]);
});

test("a stored flow is found and queued for agents with a label, and both say why it waits", async () => {
  const { page, complaints } = await openTab(browser);
  await page.goto(`${mesh.url}/flows`);
  await page.getByText("No flow is stored here").waitFor();
  await mesh.push("ansi", "nowhere");
  await page.getByRole("listitem").filter({ hasText: "Colours of a log" }).getByText("100 %").waitFor();
  await page.getByRole("textbox", { name: "A part of the name" }).fill("another");
  await page.getByRole("link", { name: "Run For another zone" }).click();
  const labels = page.getByRole("textbox", { name: "Agents with labels" });
  await labels.fill("zone");
  await page.getByText("write name=value").first().waitFor();
  await labels.fill("zone=mars-1");
  await page.getByText("No agent fits now").waitFor();
  await page.getByRole("list", { name: "Agents" }).getByText("it has no label zone, wanted mars-1").waitFor();
  await page.getByRole("button", { name: "Queue 1 run" }).click();
  await page.getByRole("heading", { name: "For another zone", level: 1 }).waitFor();
  await page.getByRole("list", { name: "Agents" }).getByText(/zone/).waitFor();
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("button", { name: "Cancel the run" }).click();
  await page.waitForFunction(() => document.title.startsWith("○"));
  expect(complaints).toEqual([]);
});

test("an agent is added by the command of the dialog itself", async () => {
  const data = mkdtempSync(join(tmpdir(), "testmesh-agent-"));
  const { page, complaints } = await openTab(browser);
  await page.goto(`${mesh.url}/fleet`);
  await page.getByRole("button", { name: "Add an agent" }).click();
  const labels = page.getByRole("textbox", { name: "Labels that it is granted" });
  await labels.fill("zone");
  await page.getByText("write name=value").waitFor();
  await labels.fill("zone=eu-1");
  await page.getByRole("button", { name: "Make the join token" }).click();
  const command = (await page.getByRole("region", { name: "the command" }).textContent()) ?? "";
  await page.getByText("Waiting for it to join").waitFor();
  const [program, ...args] = command.trim().split(" ");
  expect(program).toBe("testmesh");
  const agent = spawn(binary, [...args, "--name", "second"], { cwd: data });
  try {
    await page.getByText("second has joined and takes runs").waitFor();
    await page.getByRole("button", { name: "Done" }).click();
    await page.getByRole("list", { name: "Agents" }).getByText("zone=eu-1").waitFor();
    const again = spawn(binary, [...args, "--name", "third", "--data", join(data, "other")], { cwd: data });
    const said = await ended(again); // the token, a second time
    expect(said).toContain("the join token was used 1 times");
    expect(said).toContain("testmesh agents token makes another");
    await page.getByRole("button", { name: "Unfold second" }).click();
    await page.getByRole("button", { name: "Revoke second" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await page.getByRole("button", { name: "Fold second" }).waitFor({ state: "detached" });
  } finally {
    await stopped(agent); // one that was revoked may have ended by itself
    rmSync(data, { recursive: true, force: true });
  }
  expect(complaints).toEqual([]);
});

test("what a hostile system answers is shown as data", async () => {
  await mesh.queue(flow("hostile"));
  const { page, complaints } = await openTab(browser);
  await page.goto(`${mesh.url}/runs`);
  await page.getByRole("link", { name: /A hostile system/ }).click();
  const steps = page.getByRole("list", { name: "Steps" });
  const exchange = async (step: RegExp) => {
    await steps.getByRole("button", { name: step }).click();
    await page.getByRole("tab", { name: /^Exchange/ }).click();
  };
  await exchange(/numbers/);
  for (const exact of ["12345678901234567890", "59.80"]) await page.getByText(exact, { exact: true }).waitFor();
  await page.getByText("<script>").first().waitFor();
  await exchange(/picture/);
  await page.locator("pre", { hasText: "<script>document.title=" }).waitFor();
  await exchange(/terminal/);
  await page.locator("pre", { hasText: "detrevni" }).waitFor();
  await exchange(/huge/); // of 200 MB the first part is there, and a file with what was kept
  await page.getByRole("heading", { name: "Response" }).waitFor();
  await page.getByRole("tab", { name: /^Files/ }).click();
  await page.getByText("huge.result.json").first().waitFor();
  await page.getByRole("tab", { name: /^Steps/ }).click();
  await exchange(/page/);
  await page.locator("pre", { hasText: "<svg onload" }).waitFor();
  await page.getByRole("textbox", { name: "Search in the body of the response" }).fill("owned");
  await page.getByText("3 hits").waitFor();
  await expect.poll(() => page.title()).toBe("✗ A hostile system · TestMesh");
  expect(await page.locator("main script, main img[onerror], main svg[onload], main iframe").count()).toBe(0);
  expect(complaints).toEqual([]);
});

test("a file of a run is saved as it was stored", async () => {
  await mesh.queue("examples/failing/errored-endless.yaml");
  const { page, complaints } = await openTab(browser);
  await page.goto(`${mesh.url}/runs?flow=endless`);
  await page.getByRole("link", { name: /errored endless/ }).click();
  await page.getByRole("tab", { name: /^Files/ }).click();
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save endless.result.json" }).click()]);
  expect(download.suggestedFilename()).toBe("endless.result.json");
  const saved = readFileSync(await download.path(), "utf8");
  expect(JSON.parse(saved)).toMatchObject({ status: 200 });
  expect(complaints).toEqual([]);
});

test("while somebody points at the list nothing moves, and new runs wait above it", async () => {
  const { page } = await openTab(browser);
  await page.goto(`${mesh.url}/runs`);
  const rows = page.getByRole("list", { name: "Runs" }).getByRole("link");
  await rows.nth(1).hover();
  const first = await rows.first().getAttribute("href");
  await mesh.queue("--repeat", "60", flow("nowhere"));
  await page.getByRole("button", { name: "60 new runs" }).waitFor();
  expect(await rows.first().getAttribute("href")).toBe(first);
  await page.getByRole("button", { name: "60 new runs" }).click();
  await page.getByRole("button", { name: /60 runs/ }).waitFor();
  await expect.poll(() => rows.count()).toBeLessThan(60); // what is not on the screen is not there
});

test("a filter is an address, and a wrong one a sentence", async () => {
  const { page } = await openTab(browser);
  await page.goto(`${mesh.url}/runs`);
  await page.getByRole("list", { name: "Runs" }).waitFor();
  await page.keyboard.press("/");
  await page.keyboard.type('status:failed flow:"A hostile system"');
  await page.keyboard.press("Enter");
  await page.waitForURL(/status=failed&flow=A/);
  await page.getByRole("link", { name: /A hostile system/ }).waitFor();
  await expect.poll(() => page.getByRole("list", { name: "Runs" }).getByRole("link").count()).toBe(1);
  await page.keyboard.type(" colour:red");
  await page.keyboard.press("Enter");
  await page.getByText("There is no filter “colour”").waitFor();
  await page.goto(`${mesh.url}/runs?status=nonsense`);
  await page.getByText("There is no status “nonsense”").waitFor();
  await page.goto(`${mesh.url}/runs/0198c5b2-0000-7000-8000-000000000000`);
  await page.getByRole("alert").getByText("0198c5b2").waitFor();
});

test("a server that is killed and comes back leaves no red page, and nothing typed is lost", async () => {
  const { page } = await openTab(browser);
  await page.goto(`${mesh.url}/runs`);
  await page.getByRole("list", { name: "Runs" }).getByRole("link").first().waitFor();
  const filter = page.getByRole("textbox", { name: "Filter runs" });
  await filter.fill("status:fai");
  await mesh.kill();
  await page.getByText("reconnecting").waitFor();
  await expect.poll(() => page.getByRole("list", { name: "Runs" }).getByRole("link").count()).toBeGreaterThan(1);
  await mesh.restart();
  await page.getByText("reconnecting").waitFor({ state: "hidden" });
  await expect.poll(() => filter.inputValue()).toBe("status:fai");
  await filter.fill("");
  const rows = page.getByRole("list", { name: "Runs" }).getByRole("link");
  const before = await rows.first().getAttribute("href");
  await mesh.queue(flow("ansi"));
  await page.waitForFunction((old) => document.querySelector("ul[aria-label=Runs] a")?.getAttribute("href") !== old, before);
});

test("elsewhere the administrator's key is asked for, and is in no address", async () => {
  const data = mkdtempSync(join(tmpdir(), "testmesh-server-"));
  const server = spawn(binary, ["server", "--data", data, "--addr", "127.0.0.1:0"], { cwd: root });
  try {
    const said = await firstLines(server, /tma_\S+/);
    const url = /Control plane\s+(\S+)/.exec(said)?.[1] ?? "";
    const key = /tma_\S+/.exec(said)?.[0] ?? "";
    const { page } = await openTab(browser);
    await page.goto(`${url}/runs?status=failed`);
    const input = page.getByLabel("The administrator's key");
    await input.fill("tma_wrong");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("This key is not known here").waitFor();
    await input.fill(key);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("No run is like that").waitFor();
    expect(await page.getByRole("dialog").count()).toBe(0);
    expect(page.url()).toBe(`${url}/runs?status=failed`);
    await page.reload();
    await page.getByText("No run is like that").waitFor();
    expect(await page.evaluate(() => JSON.stringify(localStorage))).not.toContain(key);
  } finally {
    await stopped(server);
    rmSync(data, { recursive: true, force: true });
  }
});
