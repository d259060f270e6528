import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { binary, type Mesh, openTab, root, startBrowser, startMesh, startThree } from "./harness";

// Flows, and queueing them: what is typed is checked, and outlives what may happen.

let mesh: Mesh;
let browser: Browser;

beforeAll(async () => {
  [mesh, browser] = await Promise.all([startMesh(), startBrowser()]);
  await mesh.push("order", "ansi");
});
afterAll(async () => {
  await browser?.close();
  await mesh?.stop();
});

const order = "/runs/queue?file=order.testmesh.yaml";
const field = (page: Page, name: string) => page.getByRole("textbox", { name: new RegExp(`^${name}`) });

test("inputs are a form, are checked as they are typed, and reach the run", async () => {
  const { page, complaints } = await openTab(browser);
  await page.goto(`${mesh.url}${order}`);
  await page.getByText("coupon has no value and no default").waitFor();
  await page.getByRole("button", { name: "Queue", exact: true }).click();
  await expect.poll(() => field(page, "coupon").evaluate((input) => input === document.activeElement)).toBe(true);
  await field(page, "coupon").fill("SPRING");
  await field(page, "qty").fill("many");
  await page.getByText('"many" is no whole number').first().waitFor();
  await field(page, "qty").fill("3");
  await field(page, "card").fill("{text: 1}");
  await page.getByText("where a name in double quotes should be").first().waitFor();
  await field(page, "card").fill('{"text": "good wishes"}');
  await page.getByRole("combobox", { name: /^sku/ }).selectOption("CUP-001");
  await page.getByRole("combobox", { name: /^gift/ }).selectOption("true");
  await page.getByText("All of it starts at once").waitFor();
  await page.getByRole("button", { name: "Queue 1 run" }).click();
  await page.waitForFunction(() => document.title.startsWith("✓"));
  await page.getByRole("tab", { name: /^Log/ }).click();
  await page.getByText("CUP-001 3 SPRING true good wishes").waitFor();
  expect(complaints).toEqual([]);
});

test("a data file is shown before it is sent, and a wrong one is a sentence with its line", async () => {
  const { page, complaints } = await openTab(browser);
  await page.goto(`${mesh.url}${order}`);
  const choose = (name: string, text: string) =>
    page.getByLabel("Data file").setInputFiles({ name, mimeType: "text/plain", buffer: Buffer.from(text) });
  await choose("rows.csv", "name,coupon\nada,A\nbob\n");
  await page.getByText("Line 3: the row has 1 value for 2 columns.").first().waitFor();
  await choose("rows.yaml", "- name: ada\n  coupon: A\n  name: bob\n");
  await page.getByText("Line 3: this is not YAML").first().waitFor();
  await choose("rows.jsonl", '{"name": "ada", "coupon": "A", "qty": 4}\n{"name": "bob", "coupon": "B", "qty": 5}\n');
  await page.getByRole("cell", { name: "ada" }).waitFor();
  await page.getByRole("list", { name: "The first runs" }).getByText("row 2 (bob)").waitFor();
  await page.getByRole("textbox", { name: "Iterations" }).fill("5");
  await page.getByRole("button", { name: "Queue 5 runs" }).click();
  await page.waitForURL(/batch=/);
  await page.getByText("5 passed").waitFor();
  expect(complaints).toEqual([]);
});

test("what is typed outlives a server that is gone, a reload and an answer that is lost, and is queued once", async () => {
  const { page } = await openTab(browser);
  await page.goto(`${mesh.url}${order}`);
  await field(page, "coupon").fill("LATE");
  await page.getByRole("combobox", { name: "Priority" }).selectOption("high");
  await page.getByRole("button", { name: "Queue 1 run" }).waitFor();
  await mesh.kill();
  await page.getByRole("button", { name: /^Queue/ }).click();
  await page.getByRole("alert").getByText("The control plane does not answer").first().waitFor();
  await page.getByText("it is queued once, however often you try").waitFor();
  await mesh.restart();
  await page.reload();
  await expect.poll(() => field(page, "coupon").inputValue()).toBe("LATE");
  await expect.poll(() => page.getByRole("combobox", { name: "Priority" }).inputValue()).toBe("3");
  // The call arrives, and its answer does not.
  let lost = 0;
  await page.route("**/CreateBatch", async (route) => {
    if (lost++ > 0) return route.continue();
    await route.fetch();
    return route.abort();
  });
  await page.getByRole("button", { name: "Queue 1 run" }).click();
  await page.getByText("it is queued once, however often you try").waitFor();
  await page.getByRole("button", { name: /^Queue/ }).click();
  await page.getByRole("heading", { name: "An order with inputs", level: 1 }).waitFor();
  await page.goto(`${mesh.url}/runs`);
  await page.getByRole("list", { name: "Runs" }).getByRole("link").first().waitFor();
  // One of the first test, five rows, and this one.
  await expect.poll(() => page.getByRole("link", { name: /An order with inputs/ }).count()).toBe(7);
});

test("by keyboard alone: a flow is found, chosen and queued", async () => {
  const { page, complaints } = await openTab(browser);
  await page.goto(`${mesh.url}/runs`);
  await page.getByRole("list", { name: "Runs" }).waitFor();
  await page.keyboard.press("n");
  await page.getByRole("checkbox", { name: /Colours of a log/ }).waitFor();
  await page.keyboard.type("Colours");
  await page.getByRole("checkbox", { name: /An order/ }).waitFor({ state: "detached" });
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Space");
  await page.getByRole("button", { name: "Queue 1 run" }).waitFor();
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Colours of a log", level: 1 }).waitFor();
  await page.keyboard.press("Control+k");
  await page.getByRole("option", { name: /An order with inputs order/ }).waitFor();
  await page.keyboard.type("order.testmesh");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "An order with inputs", level: 1 }).waitFor();
  await page.waitForURL(/flows\/show/);
  expect(complaints).toEqual([]);
});

test("a flow is read at every revision, with what changed", async () => {
  const { page, complaints } = await openTab(browser);
  const flow = (message: string) =>
    `flow:\n  name: It changes\n  steps:\n    - {id: a, action: log, config: {message: "${message}"}}\n    - {id: b, action: log, config: {message: b}}\n`;
  await mesh.pushFiles({ "changes.testmesh.yaml": flow("<b>first</b>") });
  await mesh.pushFiles({ "changes.testmesh.yaml": flow("second") });
  await page.goto(`${mesh.url}/flows`);
  await page.getByRole("link", { name: "It changes", exact: true }).click();
  const source = page.getByRole("region", { name: "The flow" });
  await source.getByText("second").waitFor();
  await page.getByRole("button", { name: /^Compare with/ }).click();
  const changed = page.getByRole("region", { name: "What changed" });
  await changed.getByText("<b>first</b>").waitFor();
  await page.getByText("1 line added").waitFor();
  await page.getByRole("tab", { name: "Revisions" }).click();
  await page
    .getByRole("button", { name: /^Read revision/ })
    .last()
    .click();
  await source.getByText("<b>first</b>").waitFor();
  await page.waitForURL(/revision=/);
  await page.reload();
  await source.getByText("<b>first</b>").waitFor();
  await page.goto(`${mesh.url}/flows/show?file=changes.testmesh.yaml`);
  await mesh.queue("--stored");
  await page.getByRole("tab", { name: "Runs" }).click();
  await page.getByRole("link", { name: /passed It changes/ }).click();
  await page.getByRole("heading", { name: "It changes", level: 1 }).waitFor();
  expect(complaints).toEqual([]);
  await page.goto(`${mesh.url}/flows/show?file=changes.testmesh.yaml&revision=99`);
  await page.getByRole("alert").getByText("revision").first().waitFor();
  await page.getByRole("button", { name: "The one that is stored now" }).click();
  await source.getByText("second").waitFor();
});

test("a run that is gone while somebody watches is said, and stays to be read", async () => {
  const { page } = await openTab(browser);
  await mesh.queue("ui/e2e/flows/ansi.testmesh.yaml");
  await page.goto(`${mesh.url}/runs?flow=Colours%20of%20a%20log`);
  await page
    .getByRole("link", { name: /Colours of a log/ })
    .first()
    .click();
  await page.getByRole("tab", { name: /^Log/ }).click();
  await page.getByText("bold green").waitFor();
  await mesh.forget();
  await page.getByRole("alert").getByText("What you see is as of before").waitFor();
  await expect.poll(() => page.getByText("bold green").count()).toBe(1);
  expect(await page.getByText("This screen has a fault").count()).toBe(0);
});

test("a leader that is lost takes nothing away: what is typed stays, and is queued", async () => {
  const three = await startThree();
  const data = mkdtempSync(join(tmpdir(), "testmesh-agent-"));
  let agent: ReturnType<typeof spawn> | undefined;
  try {
    const lead = await three.lead();
    const [at = 0] = [0, 1, 2].filter((index) => index !== lead);
    const url = three.urls[at] ?? "";
    const { page } = await openTab(browser);
    await page.goto(`${url}/fleet`);
    await page.getByLabel("The administrator's key").fill(three.key);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("button", { name: "Add an agent" }).first().click();
    await page.getByRole("button", { name: "Make the join token" }).click();
    const command = (await page.getByRole("region", { name: "the command" }).textContent()) ?? "";
    agent = spawn(binary, [...command.trim().split(" ").slice(1), "--name", "lone"], { cwd: data });
    await page.getByText("lone has joined and takes runs").waitFor();
    await page.getByRole("button", { name: "Done" }).click();
    const env = { ...process.env, TESTMESH_SERVER: url, TESTMESH_KEY: three.key };
    const queued = spawn(binary, ["run", "--remote", "ui/e2e/flows/slow.testmesh.yaml"], { cwd: root, env });
    await page.goto(`${url}/runs`);
    await page.getByRole("link", { name: /running Takes its time/ }).waitFor();
    const filter = page.getByRole("textbox", { name: "Filter runs" });
    await filter.fill("status:runn");
    await three.kill(lead);
    await three.lead(); // another one
    await expect.poll(() => filter.inputValue()).toBe("status:runn");
    expect(await page.getByRole("alert").filter({ hasText: /\S/ }).count()).toBe(0);
    await filter.fill("");
    await page.getByRole("link", { name: /running Takes its time/ }).click();
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("button", { name: "Cancel the run" }).click();
    await page.waitForFunction(() => document.title.startsWith("○"));
    queued.kill("SIGKILL");
  } finally {
    agent?.kill("SIGKILL");
    await three.stop();
    rmSync(data, { recursive: true, force: true });
  }
}, 120_000);
