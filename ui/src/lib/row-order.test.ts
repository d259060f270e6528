import { expect, test } from "vitest";
import { append, follow, group } from "./row-order";

const none = { order: [], waiting: [] };

test("the first list is shown as it is", () => {
  expect(follow(none, ["c", "b"], false, true)).toEqual({ order: ["c", "b"], waiting: [] });
});

test("new rows come on top while nobody points at the list", () => {
  const shown = { order: ["c", "b"], waiting: [] };
  expect(follow(shown, ["d", "c", "b"], false, false).order).toEqual(["d", "c", "b"]);
});

test("while somebody points at it nothing moves, and what is new is counted", () => {
  const shown = { order: ["c", "b"], waiting: [] };
  const held = follow(shown, ["e", "d", "c"], false, true);
  expect(held).toEqual({ order: ["c", "b"], waiting: ["e", "d"] });
  expect(follow(held, ["e", "d", "c"], false, false)).toEqual({ order: ["e", "d", "c"], waiting: [] });
});

test("rows that a full head has no room for stay, those that left the list do not", () => {
  const shown = { order: ["c", "b", "a"], waiting: [] };
  expect(follow(shown, ["d", "c"], true, false).order).toEqual(["d", "c", "b", "a"]);
  expect(follow(shown, ["d", "c"], false, false).order).toEqual(["d", "c"]);
});

test("older rows go behind, each once", () => {
  expect(append({ order: ["c", "b"], waiting: ["d"] }, ["b", "a"])).toEqual({ order: ["c", "b", "a"], waiting: ["d"] });
});

test("the runs of a batch stand together, by their numbers", () => {
  const run = (batchId: string, number: number) => ({ batchId, number });
  const groups = group([run("y", 2), run("x", 1), run("y", 1)]);
  expect(groups).toEqual([
    { batch: "y", runs: [run("y", 1), run("y", 2)] },
    { batch: "x", runs: [run("x", 1)] },
  ]);
});
