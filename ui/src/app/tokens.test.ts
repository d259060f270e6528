import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const css = readFileSync(join(import.meta.dirname, "tokens.css"), "utf8");

// theme reads the tokens of a block as the browser would.
function theme(selector: string): Record<string, string> {
  const block = css.slice(css.indexOf(`${selector} {`)).split("}")[0] ?? "";
  return Object.fromEntries([...block.matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map(([, name = "", color = ""]) => [name, color]));
}

const themes = { light: theme(":root"), dark: theme(':root[data-theme="dark"]') };

// luminance and contrast are those of WCAG 2.2.
function luminance(color: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const c = Number.parseInt(color.slice(at, at + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: string, b: string): number {
  const [high = 0, low = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
}

// What stands on what: every pair that a component makes.
const surfaces = ["bg", "canvas", "raised", "hover", "selected"];
const words = ["passed-text", "failed-text", "errored-text", "running-text", "flaky-text"];
const pairs: [string, string, number][] = [
  ...surfaces.flatMap((on) => ["text", "text-2", ...words].map((fg): [string, string, number] => [fg, on, 4.5])),
  ...["bg", "canvas", "raised"].map((on): [string, string, number] => ["text-3", on, 4.5]), // placeholders
  ...["bg", "canvas", "raised", "selected"].map((on): [string, string, number] => ["accent", on, 4.5]),
  ["on-accent", "accent", 4.5],
  ...["passed-bg", "failed-bg"].flatMap((on) => ["accent", "text-3"].map((fg): [string, string, number] => [fg, on, 4.5])), // lines that changed
  ...["passed", "failed", "errored", "flaky"].flatMap((status): [string, string, number][] => [
    ["text", `${status}-bg`, 4.5],
    ["text-2", `${status}-bg`, 4.5],
    [`${status}-text`, `${status}-bg`, 4.5],
    ...words.map((fg): [string, string, number] => [fg, `${status}-bg`, 4.5]),
    [status, `${status}-bg`, 3],
  ]),
  ...["passed", "failed", "errored", "running", "flaky", "border-control"].map((fg): [string, string, number] => [fg, "bg", 3]),
];

test.each(Object.entries(themes))("the %s theme stands out enough", (_name, tokens) => {
  const faint = pairs.flatMap(([fg, bg, least]) => {
    const [a, b] = [tokens[fg], tokens[bg]];
    if (a === undefined || b === undefined) return [`${fg} or ${bg} is no token`];
    const got = contrast(a, b);
    return got < least ? [`${fg} on ${bg}: ${got.toFixed(2)}, want ${least}`] : [];
  });
  expect(faint).toEqual([]);
});

test("both themes have the same tokens", () => {
  expect(Object.keys(themes.dark)).toEqual(Object.keys(themes.light));
});

test("the contrast of black and white is 21", () => {
  expect(contrast("#000000", "#ffffff")).toBeCloseTo(21);
});

test("the solid statuses differ in lightness, for those who tell no red from green", () => {
  for (const tokens of Object.values(themes)) {
    expect(contrast(tokens.passed ?? "", tokens.failed ?? "")).toBeGreaterThan(1.8);
  }
});
