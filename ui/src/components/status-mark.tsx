import type { Mark } from "../lib/status";

const colors: Record<Mark, string> = {
  passed: "text-passed",
  failed: "text-failed",
  errored: "text-errored",
  running: "text-running",
  waiting: "text-text-3",
  skipped: "text-text-3",
  cancelled: "text-text-3",
  paused: "text-flaky",
};

const words: Record<Mark, string> = {
  passed: "text-passed-text",
  failed: "text-failed-text font-medium",
  errored: "text-errored-text font-medium",
  running: "text-running-text",
  waiting: "text-text-2",
  skipped: "text-text-2",
  cancelled: "text-text-2",
  paused: "text-flaky-text",
};

// Glyph tells statuses apart by their shapes: a circle passed, a diamond failed, a
// triangle could not be judged, a ring runs, what is hollow did not happen.
export function Glyph({ mark }: { mark: Mark }) {
  const stroke = { fill: "none", stroke: "currentColor", strokeWidth: 1.6, strokeLinecap: "round", strokeLinejoin: "round" } as const;
  const ink = { fill: "none", stroke: "var(--bg)", strokeWidth: 1.7, strokeLinecap: "round", strokeLinejoin: "round" } as const;
  return (
    <svg viewBox="0 0 16 16" className={`size-3.5 shrink-0 ${colors[mark]} ${mark === "running" ? "spin" : ""}`} aria-hidden="true">
      {mark === "passed" && (
        <>
          <circle cx="8" cy="8" r="7" fill="currentColor" />
          <path d="m4.8 8.3 2.2 2.2 4.2-4.7" {...ink} />
        </>
      )}
      {mark === "failed" && (
        <>
          <path d="M8 .6 15.4 8 8 15.4.6 8z" fill="currentColor" />
          <path d="m5.7 5.7 4.6 4.6m0-4.6-4.6 4.6" {...ink} />
        </>
      )}
      {mark === "errored" && (
        <>
          <path d="M8 1 15.6 14.6H.4z" fill="currentColor" />
          <path d="M8 6v4m0 2.2v.1" {...ink} />
        </>
      )}
      {mark === "running" && <path d="M14.2 8A6.2 6.2 0 1 1 8 1.8" {...stroke} strokeWidth={2} />}
      {mark === "waiting" && <circle cx="8" cy="8" r="6.2" {...stroke} strokeDasharray="2.4 2.5" />}
      {mark === "skipped" && <path d="M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8M5.4 8h5.2" {...stroke} />}
      {mark === "cancelled" && <path d="M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8M3.7 12.3l8.6-8.6" {...stroke} />}
      {mark === "paused" && <path d="M5.5 3.5v9m5-9v9" {...stroke} strokeWidth={2.4} />}
    </svg>
  );
}

export function StatusMark({ mark, word, quiet }: { mark: Mark; word: string; quiet?: boolean }) {
  return (
    <span className="inline-flex items-center gap-1.5 whitespace-nowrap">
      <Glyph mark={mark} />
      <span className={quiet ? "sr-only" : words[mark]}>{word}</span>
    </span>
  );
}
