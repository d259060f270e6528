import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Live } from "./live";
import type { LiveFrame } from "./live-frame";

// FakeSocket is the server's end of a socket.
class FakeSocket {
  static all: FakeSocket[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((message: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;
  readonly sent: Record<string, unknown>[] = [];

  constructor(readonly protocols: string[]) {
    FakeSocket.all.push(this);
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text) as Record<string, unknown>);
  }

  close(): void {
    this.onclose?.();
  }

  say(frame: Partial<LiveFrame>): void {
    this.onmessage?.({ data: JSON.stringify({ v: 1, ...frame }) });
  }

  hello(): void {
    this.onopen?.();
    this.say({ type: "hello", beat_ms: 1_000 });
  }
}

const open = (_url: string, protocols: string[]) => new FakeSocket(protocols) as unknown as WebSocket;
const newest = () => FakeSocket.all.at(-1) as FakeSocket;

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.all = [];
});
afterEach(() => vi.useRealTimers());

function watch(live: Live, topic = "runs") {
  const frames: LiveFrame[] = [];
  let version = "";
  const know = (v: string) => {
    version = v;
  };
  const stop = live.subscribe({ topic, request: () => ({ page_size: 10 }), version: () => version, frame: (frame) => frames.push(frame) });
  return { frames, stop, know };
}

test("a subscription is asked for once the socket has said hello", () => {
  const live = new Live({ open, url: "ws://x" });
  watch(live);
  expect(newest().sent).toEqual([]);
  newest().hello();
  expect(newest().sent).toEqual([{ op: "subscribe", id: "1", topic: "runs", request: { page_size: 10 } }]);
  expect(newest().protocols).toEqual(["testmesh.live.v1"]);
  expect(live.getState()).toBe("open");
});

test("frames go to whom they are for, and to nobody who left", () => {
  const live = new Live({ open, url: "ws://x" });
  const [a, b] = [watch(live), watch(live, "agents")];
  newest().hello();
  newest().say({ type: "snapshot", id: "2" });
  expect([a.frames.length, b.frames.length]).toEqual([0, 1]);
  b.stop();
  expect(newest().sent.at(-1)).toEqual({ op: "unsubscribe", id: "2" });
  newest().say({ type: "delta", id: "2" });
  expect(b.frames.length).toBe(1);
});

test("after a cut it goes on from the version that it has", () => {
  const live = new Live({ open, url: "ws://x" });
  const one = watch(live);
  newest().hello();
  one.know("v7");
  newest().close();
  expect(live.getState()).toBe("cut");
  vi.advanceTimersByTime(250);
  expect(FakeSocket.all.length).toBe(2);
  newest().hello();
  expect(newest().sent).toEqual([{ op: "subscribe", id: "1", topic: "runs", request: { page_size: 10 }, version: "v7" }]);
});

test("it waits longer from try to try, and no longer than five seconds", () => {
  const live = new Live({ open, url: "ws://x" });
  watch(live);
  for (const wait of [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]) {
    const before = FakeSocket.all.length;
    newest().close();
    vi.advanceTimersByTime(wait - 1);
    expect(FakeSocket.all.length).toBe(before);
    vi.advanceTimersByTime(1);
    expect(FakeSocket.all.length).toBe(before + 1);
  }
});

test("a socket that is silent for three beats is dead", () => {
  const live = new Live({ open, url: "ws://x" });
  watch(live);
  newest().hello();
  vi.advanceTimersByTime(2_900);
  newest().say({ type: "beat" });
  vi.advanceTimersByTime(2_900);
  expect(FakeSocket.all.length).toBe(1);
  vi.advanceTimersByTime(200);
  expect(FakeSocket.all.length).toBe(2);
});

test("who could not open a socket is asked why", () => {
  const refused = vi.fn();
  const live = new Live({ open, url: "ws://x", refused });
  watch(live);
  newest().close();
  expect(refused).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(250);
  newest().hello();
  newest().close();
  expect(refused).toHaveBeenCalledTimes(1);
});

test("a frame of another version is not understood, and does no harm", () => {
  const live = new Live({ open, url: "ws://x" });
  const one = watch(live);
  newest().hello();
  newest().say({ v: 2, type: "snapshot", id: "1" });
  expect(one.frames).toEqual([]);
});
