import { Button } from "../../components/button";
import type { Attempt, Run } from "../../gen/testmesh/api/v1/record_pb";
import { bytes, duration, millis, shortId } from "../../lib/format";
import type { RunView } from "./run-view";

// AttemptsView are the leases of a run: who had it, and how each ended.
export function AttemptsView({ run, at, go }: { run: Run; at: number; go: (view: RunView) => void }) {
  if (run.attempts.length === 0) return <p className="p-4 text-text-2">No agent has had this run yet.</p>;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <div tabIndex={0} role="region" aria-label="Attempts" className="relative min-w-0 overflow-auto p-3">
      <table className="w-full min-w-160 border-collapse text-left">
        <thead className="text-text-2 text-xs">
          <tr>
            {["Attempt", "Agent", "Granted", "Waited to start", "Ran", "Outcome", "Stream", ""].map((head) => (
              <th key={head} scope="col" className="border-line border-b px-2 py-1 font-normal">
                {head || <span className="sr-only">Show</span>}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {run.attempts.map((attempt) => (
            <Row
              key={attempt.number}
              attempt={attempt}
              shown={attempt.number === at}
              show={() => go({ attempt: String(attempt.number), view: undefined, step: undefined })}
            />
          ))}
        </tbody>
      </table>
      {run.orphans.length > 0 && (
        <section className="mt-4">
          <h2 className="font-semibold text-errored-text">What nobody could remove</h2>
          <ul className="mono mt-1 list-inside list-disc">
            {run.orphans.map((orphan) => (
              <li key={orphan}>{orphan}</li>
            ))}
          </ul>
        </section>
      )}
    </div>
  );
}

function Row({ attempt, shown, show }: { attempt: Attempt; shown: boolean; show: () => void }) {
  const [granted, started, ended] = [millis(attempt.granted), millis(attempt.started), millis(attempt.ended)];
  const cell = "border-line border-b px-2 py-1.5 align-top";
  return (
    <tr className={shown ? "bg-selected" : ""}>
      <td className={cell}>
        {attempt.number}
        {attempt.teardownOnly && <span className="text-text-2"> (teardown)</span>}
      </td>
      <td className={cell}>
        {attempt.agentName} <span className="mono text-text-2">{shortId(attempt.agentId)}</span>
      </td>
      <td className={cell}>{granted === 0 ? "" : new Date(granted).toLocaleTimeString()}</td>
      <td className={cell}>{started === 0 ? "never started" : duration(started - granted)}</td>
      <td className={cell}>{started === 0 || ended === 0 ? "" : duration(ended - started)}</td>
      <td className={cell}>
        {attempt.outcome || "live"}
        {attempt.reason !== "" && <span className="text-text-2">: {attempt.reason}</span>}
        {attempt.dirty && <p className="text-text-2">not to be repeated since {attempt.dirtyStep || "a step"}</p>}
      </td>
      <td className={cell}>{attempt.streamBytes > 0n ? bytes(Number(attempt.streamBytes)) : ""}</td>
      <td className={`${cell} text-right`}>
        {started !== 0 && (
          <Button onClick={show} disabled={shown}>
            {shown ? "Shown" : "Show"}
          </Button>
        )}
      </td>
    </tr>
  );
}
