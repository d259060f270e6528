// Opens an HTML report from the disk in Chromium, as a person does, and prints
// what is seen as one line of JSON: the page as it opens, then what its filter,
// its search and its folds do, in light and in dark, on a telephone, and without
// JavaScript.
//
//   node page.mjs CHROMIUM FILE [WORD]     WORD is searched for

import { pathToFileURL } from "node:url";

import { chromium } from "playwright-core";

const [executablePath, file, word = "unjudged"] = process.argv.slice(2);
const url = pathToFileURL(file).href;
const browser = await chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"],
});

// open gives a page, with what it complains about and what it asks the network for.
async function open(options, seen) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, ...options });
  context.setDefaultTimeout(10_000);
  const page = await context.newPage();
  page.on("console", (m) => seen.complaints.push(m.type() + ": " + m.text()));
  page.on("pageerror", (e) => seen.complaints.push(String(e)));
  page.on("dialog", (d) => {
    seen.complaints.push("dialog: " + d.message());
    d.dismiss();
  });
  page.on("request", (r) => {
    if (r.url() !== url) seen.requests.push(r.url());
  });
  const began = Date.now();
  await page.goto(url);
  seen.opened_ms = Math.max(seen.opened_ms || 0, Date.now() - began);
  return page;
}

// visible are the runs that a person sees, in the order they stand on the page.
const visible = (page) => page.evaluate(() => [...document.querySelectorAll("#runs > .run")]
  .filter((r) => r.getClientRects().length > 0)
  .sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top)
  .map((r) => r.dataset.status + " " + r.querySelector(".name").textContent));

// shown waits until the page says this in its line of numbers.
const shown = async (page, text) => {
  await page.waitForFunction((t) => document.getElementById("shown").textContent === t, text, { timeout: 10_000 })
    .catch(async () => {
      throw new Error(`the page says ${JSON.stringify(await page.locator("#shown").textContent())}, want ${JSON.stringify(text)}`);
    });
};

// faint are texts that stand out too little from what is behind them: WCAG 2.2,
// 1.4.3 wants a contrast of 4.5. Some runs are enough: of those off the screen a
// browser has no styles yet, and makes them one by one.
const faint = (page) => page.evaluate(() => {
  const parse = (c) => c.match(/[\d.]+/g).map(Number);
  const light = (c) => {
    const [r, g, b] = parse(c).slice(0, 3).map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = getComputedStyle(e).backgroundColor;
      if ((parse(c)[3] ?? 1) > 0) return c;
    }
    return "rgb(255, 255, 255)";
  };
  const out = new Set();
  for (const e of document.querySelectorAll("header *, .run:nth-of-type(-n+20) *, .run[open] *")) {
    if (e.getClientRects().length === 0 || ![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())) continue;
    const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) out.add(`${e.tagName}.${e.className} ${contrast.toFixed(2)}`);
  }
  return [...out];
});

const seen = { complaints: [], requests: [] };
try {
  const page = await open({ colorScheme: "light" }, seen);
  if (seen.complaints.length > 0) throw new Error("the page complains");
  seen.title = await page.title();
  seen.verdict = await page.locator("#verdict").textContent();
  seen.runs = await visible(page);
  seen.count = seen.runs.length;
  const total = seen.count;
  seen.first_open = await page.locator("#runs > .run[open] > summary .name").allTextContents();
  seen.faint = await faint(page);
  seen.back = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);

  // The filter: one status, two, none.
  const button = (status) => page.locator("#filters button", { hasText: status });
  seen.filters = await page.locator("#filters button").allTextContents();
  await button("failed").click();
  seen.failed = await visible(page);
  await shown(page, `${seen.failed.length} of ${total} runs`);
  seen.pressed = await button("failed").getAttribute("aria-pressed");
  await button("errored").click();
  seen.failed_or_errored = await visible(page);
  await button("failed").click();
  await button("errored").click();
  await shown(page, `${total} of ${total} runs`);

  // The search: one word, then nothing that there is.
  await page.locator("#search").fill(word.toUpperCase());
  await page.waitForFunction((n) => !document.getElementById("shown").textContent.startsWith(n + " of"), total, { timeout: 10_000 });
  seen.found = await visible(page);
  await page.locator("#search").fill("no such word anywhere");
  await shown(page, `0 of ${total} runs`);
  seen.found_nothing = await visible(page);
  await page.locator("#search").fill("");
  await shown(page, `${total} of ${total} runs`);

  // Unfolding: a run that is closed, by the keyboard; its steps come with it.
  const closed = page.locator("#runs > .run:not([open])", { hasText: word }).first();
  seen.before = await closed.locator(".steps").count();
  const run = await closed.elementHandle();
  await closed.locator("> summary").focus();
  await page.keyboard.press("Enter");
  await page.waitForFunction((r) => r.open && r.querySelector(".steps"), run, { timeout: 10_000 });
  seen.steps = await run.evaluate((r) => [...r.querySelectorAll(":scope > .steps > details > summary")].map((s) => s.querySelector(".status").textContent + " " + s.querySelector(".name").textContent));
  seen.unfolded = await run.evaluate((r) => r.querySelector(".steps").textContent);
  seen.markup = await page.evaluate(() => document.querySelectorAll("#runs img, #runs iframe, #runs a, #runs form").length);

  // Dark, and as narrow as a telephone: nothing is wider than the screen.
  const dark = await open({ colorScheme: "dark", viewport: { width: 360, height: 740 } }, seen);
  seen.back_dark = await dark.evaluate(() => getComputedStyle(document.body).backgroundColor);
  seen.faint_dark = await faint(dark);
  seen.too_wide = await dark.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

  // Without JavaScript, verdict and failures are there all the same.
  const plain = await open({ javaScriptEnabled: false }, seen);
  seen.plain_verdict = await plain.locator("#verdict").textContent();
  seen.plain_failures = await plain.locator(".failure pre").count();
  seen.plain_controls = await plain.locator("#controls").isVisible();
  console.log(JSON.stringify(seen));
} catch (err) {
  console.error(String(err.stack || err), JSON.stringify(seen.complaints));
  process.exitCode = 1;
} finally {
  await browser.close();
}
