import { useEffect, useMemo, useState, useSyncExternalStore } from "react";
import type { Run } from "../../gen/testmesh/api/v1/record_pb";
import type { LiveError } from "../../lib/live-frame";
import { Recording } from "../../lib/recording";
import { useLiveSocket } from "../../lib/use-live";

// newestAttempt is the newest that has a stream: one that has started; 0: none yet.
export function newestAttempt(run: Run): number {
  return run.attempts.findLast((attempt) => attempt.started !== undefined)?.number ?? 0;
}

interface Place {
  recording: Recording;
  // Where the next byte of the stream is: after a cut it goes on there.
  next: number;
  decoder: TextDecoder;
}

// useRecording is the recording of an attempt, whole, then live; attempt 0: none yet.
export function useRecording(
  run: string,
  attempt: number,
): { recording: Recording; version: number; loaded: boolean; whole: boolean; error: LiveError | null } {
  const live = useLiveSocket();
  const place = useMemo<Place & { of: string }>(
    () => ({ of: `${run}/${attempt}`, recording: new Recording(), next: 0, decoder: new TextDecoder() }),
    [run, attempt],
  );
  const [error, setError] = useState<LiveError | null>(null);
  const [loaded, setLoaded] = useState("");
  const [whole, setWhole] = useState("");
  useEffect(() => {
    setError(null);
    if (attempt === 0) return;
    return live.subscribe({
      topic: "stream",
      request: () => ({ run_id: run, attempt, offset: place.next }),
      frame: (frame) => {
        if (frame.type === "error") setError(frame.error ?? { code: "unknown", message: "The stream cannot be read." });
        if (frame.type === "stream" && frame.offset === place.next) {
          const bytes = frame.base64 === undefined ? null : Uint8Array.from(atob(frame.base64), (c) => c.charCodeAt(0));
          place.recording.append(bytes === null ? (frame.text ?? "") : place.decoder.decode(bytes, { stream: true }));
          place.next = frame.next ?? place.next;
        }
        if (frame.type === "end" || frame.type === "stream") setLoaded(place.of);
        if (frame.type === "end") setWhole(place.of);
      },
    });
  }, [live, run, attempt, place]);
  const version = useSyncExternalStore(place.recording.subscribe, place.recording.getVersion);
  return { recording: place.recording, version, loaded: loaded === place.of, whole: whole === place.of, error };
}
