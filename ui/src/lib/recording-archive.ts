import { createContext, use } from "react";
import { type Run, RunSchema } from "../gen/testmesh/api/v1/record_pb";
import type { LiveSource, LiveState, Subscription } from "./live";
import { decode } from "./use-live";

// An archive is runs that were recorded: in the page itself, which is then a report, or
// in a file that `testmesh show` serves. What shows a run of a server shows those too:
// the archive answers its subscriptions.

export interface BatchEvents {
  program?: string;
  // The events of the batch, as docs/events.md has them.
  started?: { time: string; seed?: number; notes?: string[] };
  finished?: { time: string; exit_code: number; reason?: string };
  // Digests of files that are not in it.
  missing_files?: string[];
}

// sliceLength is how much of a stream is read before the browser may draw again.
const sliceLength = 256 << 10;

// Store is where an archive is.
export interface Store {
  batch: BatchEvents;
  // Records as the API shows runs, in their JSON.
  records: { id: string }[];
  // events gives an attempt's lines, a part at a time.
  events(run: string, attempt: number, take: (text: string) => Promise<void>): Promise<void>;
  file(sha256: string): Promise<Blob>;
}

export class RecordedRuns implements LiveSource {
  readonly runs: Run[];

  constructor(readonly store: Store) {
    this.runs = store.records.map((record) => decode(RunSchema, record));
  }

  getState = (): LiveState => "open";

  onState = (): (() => void) => () => undefined;

  subscribe(subscription: Subscription): () => void {
    const closing = new AbortController();
    const frame: Subscription["frame"] = (one) => !closing.signal.aborted && subscription.frame(one);
    const request = subscription.request() as { id?: string; run_id?: string; attempt?: number; offset?: number };
    queueMicrotask(() => {
      if (subscription.topic === "run") {
        const value = this.store.records.find((record) => record.id === request.id);
        if (value === undefined) frame({ v: 1, type: "error", error: { code: "not_found", message: "There is no such run in this recording." } });
        else frame({ v: 1, type: "snapshot", value });
      }
      if (subscription.topic === "stream") void this.stream(request.run_id ?? "", request.attempt ?? 0, request.offset ?? 0, frame, closing.signal);
    });
    return () => closing.abort();
  }

  private async stream(run: string, attempt: number, from: number, frame: Subscription["frame"], closed: AbortSignal): Promise<void> {
    let at = 0;
    try {
      await this.store.events(run, attempt, async (text) => {
        for (let cut = 0; cut < text.length; cut += sliceLength) {
          const part = text.slice(cut, cut + sliceLength);
          const rest = part.slice(Math.max(from - at, 0));
          const offset = Math.max(from, at);
          at += part.length;
          if (rest !== "") frame({ v: 1, type: "stream", offset, next: at, text: rest });
          closed.throwIfAborted(); // nobody reads on
          if (at > sliceLength) await new Promise((resolve) => setTimeout(resolve)); // the browser may draw
        }
      });
      frame({ v: 1, type: "end" });
    } catch (err) {
      frame({ v: 1, type: "error", error: { code: "data_loss", message: err instanceof Error ? err.message : String(err) } });
    }
  }
}

// RecordedContext has the archive that the page shows; null: it shows a server.
export const RecordedContext = createContext<RecordedRuns | null>(null);

export function useRecorded(): RecordedRuns | null {
  return use(RecordedContext);
}

// embedded is the archive that stands in the page itself as data; null: there is none.
export function embedded(page: ParentNode): Store | null {
  const batch = page.querySelector("script.batch");
  if (batch === null) return null;
  const texts = new Map<string, Element>();
  const records = [...page.querySelectorAll("script.run")].map((element) => {
    const record = JSON.parse(element.textContent) as { id: string };
    const events = element.nextElementSibling;
    if (events?.classList.contains("events")) texts.set(record.id, events);
    return record;
  });
  const files = new Map([...page.querySelectorAll<HTMLElement>("script.file")].map((element) => [element.dataset.sha256 ?? "", element]));
  return {
    batch: JSON.parse(batch.textContent) as BatchEvents,
    records,
    events: (run, _attempt, take) => take(linesOf(texts.get(run)?.textContent ?? "")),
    file: async (sha256) => {
      const element = files.get(sha256);
      if (element === undefined) throw new Error("This file is not in the report: it was too large for it.");
      return new Blob([Uint8Array.from(atob(JSON.parse(element.textContent) as string), (c) => c.charCodeAt(0))]);
    },
  };
}

// linesOf makes JSON Lines of a list with an event a line.
function linesOf(list: string): string {
  return `${list.replace(/^\[\n?|\n?\]\s*$/g, "").replaceAll("},\n{", "}\n{")}\n`;
}

// served is the archive that `testmesh show` has at this address.
export async function served(): Promise<Store> {
  const get = async (path: string) => {
    const res = await fetch(path);
    if (!res.ok) throw new Error(`The recording cannot be read: ${(await res.text()).trim() || res.status}`);
    return res;
  };
  const { runs, ...batch } = (await (await get("/recording/runs.json")).json()) as BatchEvents & { runs: { id: string }[] };
  return {
    batch,
    records: runs,
    events: async (run, attempt, take) => {
      const res = await get(`/recording/runs/${run}/${attempt}`);
      const reader = res.body?.pipeThrough(new TextDecoderStream()).getReader();
      for (let part = await reader?.read(); part !== undefined && !part.done; part = await reader?.read()) await take(part.value);
    },
    file: async (sha256) => (await get(`/recording/files/${sha256}`)).blob(),
  };
}
