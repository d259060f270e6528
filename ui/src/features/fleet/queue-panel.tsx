import { Link } from "@tanstack/react-router";
import { Fact, Facts } from "../../components/facts";
import { type GetClusterResponse, QueueStatsResponseSchema } from "../../gen/testmesh/api/v1/api_pb";
import { type Agent, AgentState } from "../../gen/testmesh/api/v1/record_pb";
import { duration, durationMillis } from "../../lib/format";
import { decode, useLive } from "../../lib/use-live";

// QueuePanel is what waits and for how long, and what there is to take it.
export function QueuePanel({ agents, cluster }: { agents: Agent[]; cluster: GetClusterResponse | null }) {
  const { list } = useLive("queue", {});
  if (list === null) return null;
  const queue = decode(QueueStatsResponseSchema, list.value);
  const oldest = durationMillis(queue.oldestWait);
  const online = agents.filter((agent) => agent.state === AgentState.ONLINE);
  const slots = online.reduce((sum, agent) => sum + agent.slots, 0);
  const taken = agents.reduce((sum, agent) => sum + agent.leases.length, 0);
  const reachable = cluster?.members.filter((member) => member.reachable).length ?? 0;
  return (
    <Facts label="At a glance">
      <Fact name="Waiting">
        <Count n={queue.depth} status="queued,offered" />
      </Fact>
      <Fact name="Oldest wait">{oldest > 0 ? duration(oldest) : "none waits"}</Fact>
      <Fact name="Running">
        <Count n={queue.running} status="running,finishing" />
      </Fact>
      <Fact name="Agents online">
        {online.length} <span className="font-normal text-text-2">of {agents.length}</span>
      </Fact>
      <Fact name="Slots taken">
        {taken} <span className="font-normal text-text-2">of {slots}</span>
      </Fact>
      {cluster !== null && (
        <Fact name="Nodes reachable">
          {reachable} <span className="font-normal text-text-2">of {cluster.members.length}</span>
        </Fact>
      )}
      {queue.quarantined > 0 && (
        <Fact name="Quarantined">
          <span className="text-flaky-text">{queue.quarantined}</span>
        </Fact>
      )}
    </Facts>
  );
}

function Count({ n, status }: { n: number; status: string }) {
  if (n === 0) return <>0</>;
  return (
    <Link to="/runs" search={{ status }} className="underline decoration-line underline-offset-2 hover:decoration-current">
      {n.toLocaleString("en")}
    </Link>
  );
}
