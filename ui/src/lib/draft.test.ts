import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { readDraft, writeDraft } from "./draft";

const kept = new Map<string, string>();

beforeEach(() => {
  kept.clear();
  vi.stubGlobal("sessionStorage", {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, text: string) => kept.set(key, text),
    removeItem: (key: string) => kept.delete(key),
  });
});
afterEach(() => vi.unstubAllGlobals());

const initial = { a: "", b: 1 };

test("what was written is read, with what has come since", () => {
  expect(writeDraft("x", { a: "typed" })).toBe(true);
  expect(readDraft("x", initial)).toEqual({ a: "typed", b: 1 });
  expect(readDraft("y", initial)).toEqual(initial);
});

test("what is too large is not kept, and that is said", () => {
  writeDraft("x", { a: "typed" });
  expect(writeDraft("x", { a: "x".repeat(2 << 20) })).toBe(false);
  expect(readDraft("x", initial)).toEqual(initial);
});

test("what was cleared is gone", () => {
  writeDraft("x", { a: "typed" });
  writeDraft("x", null);
  expect(kept.size).toBe(0);
});

test("storage that is switched off, or holds nonsense, loses nothing but the draft", () => {
  kept.set("testmesh.draft.x", "{nonsense");
  expect(readDraft("x", initial)).toEqual(initial);
  vi.stubGlobal("sessionStorage", {
    getItem: () => {
      throw new Error("switched off");
    },
    setItem: () => {
      throw new Error("switched off");
    },
  });
  expect(readDraft("x", initial)).toEqual(initial);
  expect(writeDraft("x", { a: "typed" })).toBe(false);
});
