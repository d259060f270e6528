import { expect, test } from "vitest";
import type { LiveFrame } from "./live-frame";
import { RecordedRuns, type Store } from "./recording-archive";

const lines = '{"type":"run.started","seq":1}\n{"type":"step.log","seq":2}\n';

function store(events: Store["events"]): Store {
  return { batch: {}, records: [{ id: "r1", spec: { flow: "Pay" } } as { id: string }], events, file: async () => new Blob() };
}

// ask gives what a subscription is told, until nothing more comes.
function ask(from: Store, topic: string, request: object): Promise<LiveFrame[]> {
  return new Promise((resolve) => {
    const told: LiveFrame[] = [];
    new RecordedRuns(from).subscribe({
      topic,
      request: () => request,
      frame: (frame) => {
        told.push(frame);
        if (frame.type !== "stream") resolve(told);
      },
    });
  });
}

test("a run of a recording is told as a server tells it", async () => {
  const [frame] = await ask(
    store(async () => undefined),
    "run",
    { id: "r1" },
  );
  expect(frame).toMatchObject({ type: "snapshot", value: { id: "r1" } });
  const [none] = await ask(
    store(async () => undefined),
    "run",
    { id: "r2" },
  );
  expect(none).toMatchObject({ type: "error", error: { code: "not_found" } });
});

test("a stream goes on from where it was, however it is cut into parts", async () => {
  const inParts = (size: number) =>
    store(async (_run, _attempt, take) => {
      for (let at = 0; at < lines.length; at += size) await take(lines.slice(at, at + size));
    });
  for (const size of [1, 7, lines.length]) {
    for (const offset of [0, 5, lines.length - 1]) {
      const told = await ask(inParts(size), "stream", { run_id: "r1", attempt: 1, offset });
      const parts = told.filter((frame) => frame.type === "stream");
      expect(parts.map((frame) => frame.text).join("")).toBe(lines.slice(offset));
      expect(parts[0]?.offset).toBe(offset);
      expect(parts.at(-1)?.next).toBe(lines.length);
    }
  }
});

test("a long part is told in pieces", async () => {
  const long = "x".repeat(1_000_000);
  const told = await ask(
    store((_run, _attempt, take) => take(long)),
    "stream",
    { run_id: "r1", attempt: 1 },
  );
  expect(told.length).toBeGreaterThan(3);
  expect(told.map((frame) => frame.text ?? "").join("")).toBe(long);
});

test("what cannot be read is an error, not an end", async () => {
  const broken = store(async () => {
    throw new Error("part 2 is missing");
  });
  expect(await ask(broken, "stream", { run_id: "r1", attempt: 1 })).toMatchObject([{ type: "error", error: { message: "part 2 is missing" } }]);
});

test("who does not read on is told nothing, and the rest is not read", async () => {
  let taken = 0;
  let told = 0;
  let failed: unknown;
  const close = new RecordedRuns(
    store(async (_run, _attempt, take) => {
      try {
        for (; taken < 5; taken++) await take(lines);
      } catch (err) {
        failed = err;
        throw err;
      }
    }),
  ).subscribe({
    topic: "stream",
    request: () => ({ run_id: "r1", attempt: 1 }),
    frame: () => {
      told++;
      close();
    },
  });
  await expect.poll(() => failed).toBeDefined();
  expect([told, taken]).toEqual([1, 0]);
});
