import type { Browser, Page } from "playwright-core";
import { expect } from "vitest";

// figure is how long a task of the page may take, in milliseconds, so that nothing stutters.
// A machine that does other things beside may take ten times as long.
export const figure = 50;
export const bound = 10 * figure;

interface TraceEvent {
  name: string;
  ph: string;
  pid: number;
  tid: number;
  tdur?: number;
  args?: { name?: string };
}

// longestTask is the longest task of a page while something is done, in milliseconds of
// the processor's time as the browser's own trace has it.
export async function longestTask(browser: Browser, page: Page, act: () => Promise<void>): Promise<number> {
  await browser.startTracing(page, { categories: ["toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline"] });
  await act();
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString()) as { traceEvents: TraceEvent[] };
  const main = new Set(
    traceEvents.filter((one) => one.name === "thread_name" && one.args?.name === "CrRendererMain").map((one) => `${one.pid} ${one.tid}`),
  );
  const tasks = traceEvents.filter(
    (one) => one.ph === "X" && one.tdur !== undefined && one.name.endsWith("RunTask") && main.has(`${one.pid} ${one.tid}`),
  );
  expect(tasks.length).toBeGreaterThan(50); // else the trace has other names, and nothing was measured
  return Math.max(...tasks.map((one) => one.tdur ?? 0)) / 1000;
}

// say prints a figure, so that it is seen while it is still within its bound.
export function say(what: string, ms: number): void {
  process.stdout.write(`  ${what}: longest task ${ms.toFixed(1)} ms, wanted ${figure} ms\n`);
}
