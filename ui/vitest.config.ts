import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      { test: { name: "logic", include: ["src/**/*.test.ts"], environment: "node", testTimeout: 30_000 } },
      {
        // The real program, with real agents, in Debian's Chromium: one browser for all.
        test: {
          name: "browser",
          include: ["e2e/**/*.test.ts"],
          environment: "node",
          testTimeout: 150_000,
          expect: { poll: { timeout: 15_000 } },
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      // The pictures of the documents: `make screenshots`.
      { test: { name: "shots", include: ["e2e/shots.ts"], environment: "node" } },
    ],
  },
});
