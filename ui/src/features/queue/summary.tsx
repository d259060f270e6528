import { Link } from "@tanstack/react-router";
import { Button } from "../../components/button";
import { Panel } from "../../components/panel";
import { StatusMark } from "../../components/status-mark";
import type { AgentFit } from "../../gen/testmesh/api/v1/api_pb";
import { plural } from "../../lib/format";
import { problemOf } from "../../lib/problem";
import type { Queue } from "./use-queue";

const listed = 6;

// countOf is how many runs there would be; null: nobody knows yet.
function countOf({ plan, problems }: Queue): number | null {
  return plan.isSuccess && problems.size === 0 ? plan.data.runs : null;
}

export function SubmitButton({ queue }: { queue: Queue }) {
  const runs = countOf(queue) ?? 0;
  return (
    <Button kind="primary" type="submit" disabled={queue.queue.isPending} className="h-9! w-full">
      {queue.queue.isPending ? "Queueing…" : runs === 0 ? "Queue" : `Queue ${plural(runs, "run")}`}
    </Button>
  );
}

// Summary is what would come of it: the runs, and the agents that would take them.
export function Summary({ queue, tried }: { queue: Queue; tried: boolean }) {
  const { plan, problems, queue: sending } = queue;
  const runs = countOf(queue);
  const wrong = [...problems].map(([field, problem]) =>
    field.startsWith("input ") && !problem.startsWith(field.slice(6)) ? `${field.slice(6)}: ${problem}` : problem,
  );
  return (
    <div className="flex flex-col gap-3">
      <Panel title="What will be queued" side={runs !== null && plural(runs, "run")}>
        <div className="flex flex-col gap-2 p-3">
          {wrong.length > 0 && (
            <ul aria-label="What is missing" className={tried ? "text-failed-text" : "text-text-2"}>
              {wrong.map((one) => (
                <li key={one}>{one}</li>
              ))}
            </ul>
          )}
          {wrong.length === 0 && plan.error !== null && (
            <p role="alert" className="text-failed-text">
              {problemOf(plan.error).title}
            </p>
          )}
          {wrong.length === 0 && plan.isPending && plan.fetchStatus === "fetching" && <p className="text-text-2">Asking what it comes to…</p>}
          {runs === 0 && <p className="text-flaky-text">Nothing: no stored flow fits.</p>}
          {runs !== null && runs > 0 && plan.data !== undefined && (
            <ol aria-label="The first runs" className="flex flex-col gap-0.5">
              {plan.data.first.slice(0, listed).map((spec, i) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: runs that are not made have no names
                <li key={i} className="flex min-w-0 gap-2">
                  <span className="w-5 shrink-0 text-right text-text-3">{i + 1}</span>
                  <span className="min-w-0 truncate">
                    {spec.flow} <span className="text-text-2">{spec.label}</span>
                  </span>
                </li>
              ))}
              {runs > listed && <li className="pl-7 text-text-2">and {plural(runs - listed, "more run")}</li>}
            </ol>
          )}
        </div>
      </Panel>
      <Agents queue={queue} runs={runs} />
      {sending.error !== null && (
        <div role="alert" className="panel border-l-4 border-l-failed p-3">
          <p className="font-medium">{problemOf(sending.error).title}</p>
          <p className="mt-1 text-text-2">What you filled in is kept. Queue it again: it is queued once, however often you try.</p>
        </div>
      )}
    </div>
  );
}

function Agents({ queue, runs }: { queue: Queue; runs: number | null }) {
  const { fits } = queue;
  const agents = fits.data?.agents ?? [];
  const fitting = agents.filter((agent) => agent.fits).length;
  const free = fits.data?.free ?? 0;
  return (
    <Panel title="Agents" side={fits.isSuccess && `${fitting} of ${agents.length} fit`}>
      <div className="flex flex-col gap-2 p-3" aria-live="polite">
        {fits.error !== null && <p className="text-text-2">{problemOf(fits.error).title}</p>}
        {fits.data === undefined && fits.error === null && <p className="text-text-2">Which agents fit is shown here once something is chosen.</p>}
        {fits.isSuccess && agents.length === 0 && (
          <p className="text-flaky-text">
            No agent has joined: the runs wait until one is there.{" "}
            <Link to="/fleet" className="underline">
              Add an agent
            </Link>
          </p>
        )}
        {fits.isSuccess && agents.length > 0 && fitting === 0 && <p className="text-flaky-text">No agent fits now: the runs wait until one does.</p>}
        {fitting > 0 && (
          <p className="text-text-2">
            {runs !== null && free >= runs && runs > 0
              ? "All of it starts at once."
              : `${plural(free, "run")} can start at once; the others wait for a slot.`}
          </p>
        )}
        <ul aria-label="Agents" className="flex flex-col gap-1.5">
          {[...agents]
            .sort((a, b) => Number(b.fits) - Number(a.fits))
            .map((agent) => (
              <Fit key={agent.agentId} agent={agent} />
            ))}
        </ul>
      </div>
    </Panel>
  );
}

function Fit({ agent }: { agent: AgentFit }) {
  return (
    <li className="flex flex-col">
      <span className="flex items-center gap-2">
        <StatusMark mark={agent.fits ? "passed" : "skipped"} word={agent.fits ? "fits" : "does not fit"} quiet />
        <span className="font-medium">{agent.name}</span>
        {agent.fits && <span className="ml-auto text-text-2">{plural(agent.free, "free slot")}</span>}
      </span>
      {agent.lacks.map((lack) => (
        <span key={lack} className="pl-5.5 text-text-2">
          {lack}
        </span>
      ))}
    </li>
  );
}
