import { expect, test } from "vitest";
import { emptyList, ListBuilder, type LiveFrame } from "./live-frame";

const frame = (type: LiveFrame["type"], rest: Partial<LiveFrame> = {}): LiveFrame => ({ v: 1, type, version: "x", ...rest });
const item = (id: string, n = 0) => ({ id, n });

test("a snapshot is a list in its order", () => {
  const list = new ListBuilder().take(frame("snapshot", { items: [item("b"), item("a")], version: "1" }));
  expect(list?.order).toEqual(["b", "a"]);
  expect(list?.version).toBe("1");
});

test("a snapshot in parts is shown once it is whole", () => {
  const builder = new ListBuilder();
  expect(builder.take(frame("snapshot", { items: [item("a")], more: true }))).toBeNull();
  expect(builder.take(frame("snapshot", { items: [item("b")] }))?.order).toEqual(["a", "b"]);
});

test("a part that was cut off does not get into the next list", () => {
  const builder = new ListBuilder();
  builder.take(frame("snapshot", { items: [item("old")], more: true }));
  builder.cut();
  expect(builder.take(frame("snapshot", { items: [item("a")] }))?.order).toEqual(["a"]);
});

test("a delta changes, adds, removes and orders", () => {
  const builder = new ListBuilder();
  builder.take(frame("snapshot", { items: [item("a"), item("b"), item("c")] }));
  const list = builder.take(frame("delta", { items: [item("b", 7), item("d")], gone: ["a"], order: ["d", "b", "c"], version: "2" }));
  expect(list?.order).toEqual(["d", "b", "c"]);
  expect([...(list?.items.values() ?? [])]).toEqual([item("b", 7), item("c"), item("d")]);
});

test("a change of one record keeps the order", () => {
  const builder = new ListBuilder();
  builder.take(frame("snapshot", { items: [item("a"), item("b")] }));
  expect(builder.take(frame("delta", { items: [item("b", 1)] }))?.order).toEqual(["a", "b"]);
});

test("the same is nothing new, and the version is what is asked with", () => {
  const builder = new ListBuilder({ ...emptyList, version: "9", order: ["a"] });
  expect(builder.version).toBe("9");
  expect(builder.take(frame("same"))).toBeNull();
});

test("a record comes as a value, and a change of it anew", () => {
  const builder = new ListBuilder();
  expect(builder.take(frame("snapshot", { value: { n: 1 } }))?.value).toEqual({ n: 1 });
  expect(builder.take(frame("delta", { value: { n: 2 } }))?.value).toEqual({ n: 2 });
});
