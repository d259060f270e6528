// What the live socket says (docs/live.md), and how a list is kept by it.

export interface LiveError {
  code: string;
  message: string;
}

export interface LiveFrame {
  v: number;
  type: "hello" | "beat" | "snapshot" | "same" | "delta" | "stream" | "restarted" | "end" | "error";
  id?: string;
  version?: string;
  beat_ms?: number;
  items?: { id: string }[];
  gone?: string[];
  order?: string[];
  value?: unknown;
  more?: boolean;
  attempt?: number;
  offset?: number;
  next?: number;
  text?: string;
  base64?: string;
  error?: LiveError;
}

// LiveList is a list as the server has it, still in its JSON.
export interface LiveList {
  version: string;
  items: ReadonlyMap<string, unknown>;
  order: readonly string[];
  value: unknown;
}

export const emptyList: LiveList = { version: "", items: new Map(), order: [], value: undefined };

// ListBuilder puts the frames of one subscription together. A message that goes on in
// the next one is shown only once it is whole.
export class ListBuilder {
  private parts: LiveFrame[] = [];

  constructor(private list: LiveList = emptyList) {}

  get version(): string {
    return this.list.version;
  }

  // cut forgets a message whose rest will not come.
  cut(): void {
    this.parts = [];
  }

  // take gives the list as it is now, or null where nothing is to be shown anew.
  take(frame: LiveFrame): LiveList | null {
    if (frame.type === "same") return null;
    if (frame.type !== "snapshot" && frame.type !== "delta") return null;
    this.parts.push(frame);
    if (frame.more) return null;
    const [first, ...rest] = this.parts;
    this.parts = [];
    if (first === undefined) return null;
    const items = new Map<string, unknown>(first.type === "delta" ? this.list.items : []);
    const come: string[] = [];
    for (const part of [first, ...rest]) {
      for (const item of part.items ?? []) {
        items.set(item.id, item);
        come.push(item.id);
      }
    }
    for (const id of first.gone ?? []) items.delete(id);
    let order = first.order ?? (first.type === "snapshot" ? come : this.list.order);
    if (first.gone?.length && first.order === undefined) order = order.filter((id) => items.has(id));
    this.list = { version: frame.version ?? "", items, order, value: frame.value ?? first.value ?? this.list.value };
    return this.list;
  }
}
