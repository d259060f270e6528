import { expect, test } from "vitest";
import { freshKey } from "./fresh-key";

test("each is another, and the server takes it", () => {
  const keys = new Set(Array.from({ length: 100 }, freshKey));
  expect(keys.size).toBe(100);
  for (const key of keys) expect(key).toMatch(/^[0-9a-f]{32}$/);
});
