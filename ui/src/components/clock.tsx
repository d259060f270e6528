import { useSyncExternalStore } from "react";
import { ago, duration } from "../lib/format";

// One tick for all moments on the page, none while the page is hidden.
const listeners = new Set<() => void>();
let now = Date.now();

setInterval(() => {
  if (document.hidden) return;
  now = Date.now();
  for (const listener of listeners) listener();
}, 1_000);

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}

export function Ago({ at }: { at: number }) {
  const current = useNow();
  if (at === 0) return null;
  return (
    <time dateTime={new Date(at).toISOString()} title={new Date(at).toLocaleString()}>
      {ago(current - at)}
    </time>
  );
}

// Since counts up from a moment, for what still goes on.
export function Since({ at }: { at: number }) {
  const seconds = Math.max(0, Math.round((useNow() - at) / 1000));
  return <span>{seconds < 60 ? `${seconds}s` : duration(seconds * 1000)}</span>;
}
