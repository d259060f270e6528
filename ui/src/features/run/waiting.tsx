import { useQuery } from "@tanstack/react-query";
import { Since } from "../../components/clock";
import { Glyph } from "../../components/status-mark";
import { type Run, RunStatus } from "../../gen/testmesh/api/v1/record_pb";
import { runs } from "../../lib/api";
import { millis } from "../../lib/format";

// Waiting says what a run waits for: which agents there are, and what each lacks.
export function Waiting({ run }: { run: Run }) {
  const waits = run.status === RunStatus.QUEUED || run.status === RunStatus.OFFERED;
  const why = useQuery({ queryKey: ["why", run.id], queryFn: () => runs.why({ runId: run.id }), enabled: waits, refetchInterval: 1_000 });
  if (run.cancelling && run.finished === undefined) {
    return <Strip>It is being cancelled{run.cancelReason && `: ${run.cancelReason}`}. Teardown still runs.</Strip>;
  }
  if (!waits) return null;
  const reason = run.quarantined ? run.reason : (why.data?.reason ?? "");
  return (
    <Strip>
      <p>
        <span className="font-medium">Waiting for</span> <Since at={millis(run.created)} />
        {reason !== "" && <>: {reason}</>}
      </p>
      {why.data !== undefined && why.data.locks.length > 0 && <p className="text-text-2">Locks: {why.data.locks.join(", ")}</p>}
      {why.data !== undefined && why.data.agents.length > 0 && (
        <ul className="mt-1 flex flex-col gap-0.5" aria-label="Agents">
          {why.data.agents.slice(0, 50).map((agent) => (
            <li key={agent.agentId} className="flex items-baseline gap-2">
              <span className="self-center">
                <Glyph mark={agent.fits ? "passed" : "skipped"} />
              </span>
              <span className="font-medium">{agent.name}</span>
              <span className="text-text-2">{agent.fits ? "fits" : agent.lacks.join("; ")}</span>
            </li>
          ))}
          {why.data.agents.length > 50 && <li className="text-text-2">and {why.data.agents.length - 50} more</li>}
        </ul>
      )}
    </Strip>
  );
}

function Strip({ children }: { children: React.ReactNode }) {
  return (
    <div role="status" className="max-h-48 shrink-0 overflow-y-auto border-flaky border-l-4 bg-flaky-bg px-3 py-2">
      {children}
    </div>
  );
}
