import { type DescMessage, fromJson, type JsonValue, type MessageShape } from "@bufbuild/protobuf";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { createContext, use, useEffect, useSyncExternalStore } from "react";
import type { LiveSource, LiveState } from "./live";
import { emptyList, ListBuilder, type LiveError, type LiveList } from "./live-frame";

export const LiveContext = createContext<LiveSource | null>(null);

export function useLiveSocket(): LiveSource {
  const live = use(LiveContext);
  if (live === null) throw new Error("there is no live socket above this");
  return live;
}

export function useLiveState(): LiveState {
  const live = useLiveSocket();
  return useSyncExternalStore(live.onState, live.getState);
}

interface Kept {
  list: LiveList | null;
  error: LiveError | null;
}

const nothing: Kept = { list: null, error: null };

// useLive keeps a list or record of the server in the query cache, for as long as it is
// shown. What was there last is shown at once when a screen is opened again.
export function useLive(topic: string, request: object, enabled = true): Kept {
  const live = useLiveSocket();
  const cache = useQueryClient();
  const text = JSON.stringify(request);
  useEffect(() => {
    if (!enabled) return;
    const key = ["live", topic, text];
    const builder = new ListBuilder(cache.getQueryData<Kept>(key)?.list ?? emptyList);
    return live.subscribe({
      topic,
      request: () => JSON.parse(text) as object,
      version: () => builder.version,
      cut: () => builder.cut(),
      frame: (frame) => {
        if (frame.type === "error") {
          cache.setQueryData<Kept>(key, (old) => ({ list: old?.list ?? null, error: frame.error ?? { code: "unknown", message: "" } }));
          return;
        }
        const list = builder.take(frame);
        if (list !== null) cache.setQueryData<Kept>(key, { list, error: null });
      },
    });
  }, [live, cache, topic, text, enabled]);
  const { data } = useQuery<Kept>({
    queryKey: ["live", topic, text],
    queryFn: () => nothing,
    enabled: false,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 60_000,
  });
  return data ?? nothing;
}

const decoded = new WeakMap<object, unknown>();

// decode reads a record as the socket sends it, once.
export function decode<Desc extends DescMessage>(schema: Desc, json: unknown): MessageShape<Desc> {
  const from = json as object;
  let message = decoded.get(from) as MessageShape<Desc> | undefined;
  if (message === undefined) {
    message = fromJson(schema, json as JsonValue, { ignoreUnknownFields: true });
    decoded.set(from, message);
  }
  return message;
}
