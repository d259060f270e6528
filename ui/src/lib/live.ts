import type { LiveFrame } from "./live-frame";
import { sessionKey } from "./session";

// The one WebSocket of this tab. Whoever shows something subscribes; after a cut the
// socket is opened again, and every subscription goes on from where it was.

export type LiveState = "connecting" | "open" | "cut";

export interface Subscription {
  topic: string;
  // request is asked for at each subscribing, because a stream goes on from elsewhere.
  request(): object;
  version?(): string;
  frame(frame: LiveFrame): void;
  // cut is told when the rest of a message will not come.
  cut?(): void;
}

// LiveSource is what answers subscriptions: the socket, or a recording.
export interface LiveSource {
  subscribe(subscription: Subscription): () => void;
  getState(): LiveState;
  onState(listener: () => void): () => void;
}

export interface LiveOptions {
  open?: (url: string, protocols: string[]) => WebSocket;
  url?: string;
  // refused is asked after a socket that did not open: a browser does not say why.
  refused?: () => void;
}

const firstDelay = 250;
const longestDelay = 5_000;
// defaultBeat holds until the server has said its own.
const defaultBeat = 10_000;

export class Live implements LiveSource {
  private socket: WebSocket | null = null;
  private readonly subscriptions = new Map<string, Subscription>();
  private readonly listeners = new Set<() => void>();
  private state: LiveState = "connecting";
  private counter = 0;
  private delay = firstDelay;
  private beat = defaultBeat;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private watchdog: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly options: LiveOptions = {}) {}

  subscribe(subscription: Subscription): () => void {
    const id = String(++this.counter);
    this.subscriptions.set(id, subscription);
    if (this.socket === null && this.retry === undefined) this.connect();
    else this.ask(id, subscription);
    return () => {
      if (this.subscriptions.delete(id)) this.send({ op: "unsubscribe", id });
    };
  }

  getState = (): LiveState => this.state;

  onState = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  // reconnect opens the socket anew at once: with another key, or because a person asked.
  reconnect = (): void => {
    this.delay = firstDelay;
    this.drop();
    this.connect();
  };

  private connect(): void {
    clearTimeout(this.retry);
    this.retry = undefined;
    const url = this.options.url ?? `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/v1/live`;
    const key = sessionKey();
    const protocols = ["testmesh.live.v1", ...(key === "" ? [] : [`testmesh.key.${key}`])];
    const socket = (this.options.open ?? ((to, names) => new WebSocket(to, names)))(url, protocols);
    this.socket = socket;
    let opened = false;
    socket.onopen = () => {
      opened = true;
    };
    socket.onmessage = (message) => {
      if (socket === this.socket) this.take(JSON.parse(String(message.data)) as LiveFrame);
    };
    socket.onclose = () => {
      if (socket !== this.socket) return;
      this.drop();
      if (!opened) this.options.refused?.();
      this.retry = setTimeout(() => this.connect(), this.delay);
      this.delay = Math.min(this.delay * 2, longestDelay);
    };
    this.watch();
  }

  private drop(): void {
    clearTimeout(this.watchdog);
    clearTimeout(this.retry);
    this.retry = undefined;
    const socket = this.socket;
    this.socket = null;
    socket?.close();
    for (const subscription of this.subscriptions.values()) subscription.cut?.();
    this.become("cut");
  }

  // watch takes a socket that is silent for three beats for dead.
  private watch(): void {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => {
      this.drop();
      this.connect();
    }, 3 * this.beat);
  }

  private take(frame: LiveFrame): void {
    this.watch();
    if (frame.v !== 1) return;
    if (frame.type === "hello") {
      this.beat = frame.beat_ms ?? defaultBeat;
      this.delay = firstDelay;
      this.become("open");
      for (const [id, subscription] of this.subscriptions) this.ask(id, subscription);
      return;
    }
    if (frame.id === undefined) return;
    this.subscriptions.get(frame.id)?.frame(frame);
  }

  private ask(id: string, subscription: Subscription): void {
    if (this.state !== "open") return;
    this.send({ op: "subscribe", id, topic: subscription.topic, request: subscription.request(), version: subscription.version?.() || undefined });
  }

  private send(message: object): void {
    if (this.state === "open") this.socket?.send(JSON.stringify(message));
  }

  private become(state: LiveState): void {
    if (state === this.state) return;
    this.state = state;
    for (const listener of this.listeners) listener();
  }
}
