import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { expect, test } from "vitest";

// The shape of the source: gen, lib, components <- features/<name> <- app.

const src = import.meta.dirname;
const files = readdirSync(src, { recursive: true, encoding: "utf8" }).filter((name) => /\.(ts|tsx|css)$/.test(name));
const code = files.filter((name) => /\.tsx?$/.test(name));

const layer = (file: string) =>
  file
    .split("/")
    .slice(0, file.startsWith("features/") ? 2 : 1)
    .join("/");

// forbidden says why a file may not import another; "" where it may.
function forbidden(from: string, to: string): string {
  const [a, b] = [layer(from), layer(to)];
  if (a === b || a === "app") return "";
  if (b === "gen" && a !== "gen") return "";
  if (b === "lib" && a !== "gen") return "";
  if (b === "components" && a.startsWith("features/")) return "";
  return `${from} must not import ${to}`;
}

test("imports follow the layers", () => {
  const bad = code.flatMap((file) => {
    const text = readFileSync(join(src, file), "utf8");
    return [...text.matchAll(/(?:from|import\()\s*"(\.[^"]+)"/g)].flatMap(([, to = ""]) => {
      const target = relative(src, resolve(src, dirname(file), to));
      return forbidden(file, target) || [];
    });
  });
  expect(bad).toEqual([]);
});

test("what the layers refuse", () => {
  expect(forbidden("features/runs/a.tsx", "features/run/b.tsx")).not.toBe("");
  expect(forbidden("lib/a.ts", "components/b.tsx")).not.toBe("");
  expect(forbidden("components/a.tsx", "features/run/b.tsx")).not.toBe("");
  expect(forbidden("features/run/a.tsx", "app/shell.tsx")).not.toBe("");
  expect(forbidden("app/shell.tsx", "features/run/b.tsx")).toBe("");
  expect(forbidden("features/run/a.tsx", "components/b.tsx")).toBe("");
});

test("components are short", () => {
  const long = code.filter((file) => file.endsWith(".tsx") && readFileSync(join(src, file), "utf8").split("\n").length > 250);
  expect(long).toEqual([]);
});

test("colours stand in the file of tokens alone", () => {
  const coloured = files.filter((file) => {
    if (file.startsWith("gen/") || /tokens|\.test\./.test(file)) return false;
    return /#[0-9a-fA-F]{6}\b|\b(text|bg|border)-(red|green|blue|gray|zinc|slate|yellow)-\d/.test(readFileSync(join(src, file), "utf8"));
  });
  expect(coloured).toEqual([]);
});

test("nothing makes markup of data", () => {
  const risky = code.filter(
    (file) =>
      !file.includes(".test.") &&
      /innerHTML|dangerouslySetInnerHTML|insertAdjacentHTML|document\.write|\beval\(/.test(readFileSync(join(src, file), "utf8")),
  );
  expect(risky).toEqual([]);
});
