import { useNow } from "../../components/clock";
import type { Attempt, Run } from "../../gen/testmesh/api/v1/record_pb";
import { duration, millis } from "../../lib/format";
import { hasEnded, runWord } from "../../lib/status";

interface Part {
  word: string;
  ms: number;
  look: string;
}

const verdicts: Record<string, string> = { passed: "bg-passed", failed: "bg-failed", errored: "bg-errored" };

// RunTimeline is where the time of a run went: waiting for an agent, starting there,
// running; of a run that had several agents, attempt by attempt.
export function RunTimeline({ run }: { run: Run }) {
  const now = useNow();
  const ended = hasEnded(run.status);
  const end = ended ? millis(run.finished) : Math.max(now, millis(run.created));
  const parts = partsOf(run, end).filter((part) => part.ms > 0);
  const total = parts.reduce((sum, part) => sum + part.ms, 0);
  if (total === 0) return null;
  return (
    <div className="flex flex-col gap-1">
      <div aria-hidden="true" className="flex h-1.5 gap-px overflow-hidden rounded-xs">
        {parts.map((part, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: parts only come after one another
          <span key={i} className={`min-w-1 ${part.look}`} style={{ flexGrow: part.ms, flexBasis: 0 }} title={`${part.word} ${duration(part.ms)}`} />
        ))}
      </div>
      <ol aria-label="Where the time went" className="flex flex-wrap gap-x-4 text-text-2 text-xs">
        {parts.map((part, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: as above
          <li key={i} className="inline-flex items-center gap-1.5">
            <span aria-hidden="true" className={`size-2 rounded-xs ${part.look}`} />
            {part.word} {duration(part.ms)}
          </li>
        ))}
      </ol>
    </div>
  );
}

// workOf is what an agent did from the start of an attempt on.
function workOf(attempt: Attempt, verdict: string): [word: string, look: string] {
  if (attempt.outcome === "lost") return ["lost", "bg-errored"];
  if (attempt.outcome === "drained") return ["drained", "bg-flaky"];
  return attempt.teardownOnly ? ["torn down", "bg-control"] : ["ran", verdict];
}

// partsOf follows the attempts: what is between them is waiting.
function partsOf(run: Run, end: number): Part[] {
  const parts: Part[] = [];
  let at = millis(run.created);
  const until = (to: number, word: string, look: string) => {
    if (to > at) parts.push({ word, ms: to - at, look });
    at = Math.max(at, to);
  };
  const verdict = hasEnded(run.status) ? (verdicts[runWord[run.status]] ?? "bg-control") : "bg-running";
  for (const [i, attempt] of run.attempts.entries()) {
    const last = i === run.attempts.length - 1;
    const [granted, started, left] = [millis(attempt.granted), millis(attempt.started), millis(attempt.ended)];
    until(granted, "waited", "bg-control");
    until(started || left || (last ? end : granted), started === 0 ? "offered" : "starting", "bg-flaky");
    if (started !== 0) until(left || (last ? end : started), ...workOf(attempt, verdict));
  }
  until(end, hasEnded(run.status) ? "ending" : "waiting", "bg-control");
  return parts;
}
