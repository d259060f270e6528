import { useEffect, useState } from "react";
import { Button } from "../../components/button";
import { Icon } from "../../components/icon";
import { Empty, Loading, Notice } from "../../components/notice";
import { Panel } from "../../components/panel";
import { GetClusterResponseSchema } from "../../gen/testmesh/api/v1/api_pb";
import { type Agent, AgentSchema } from "../../gen/testmesh/api/v1/record_pb";
import { plural } from "../../lib/format";
import { useShortcuts } from "../../lib/shortcuts";
import { decode, useLive } from "../../lib/use-live";
import { AddAgent } from "./add-agent";
import { AgentRow } from "./agent-row";
import { ClusterPanel } from "./cluster-panel";
import { QueuePanel } from "./queue-panel";
import { TokensPanel } from "./tokens-panel";

// How many agents are drawn; a filter finds the others.
const shown = 200;

export function FleetPage() {
  const [adding, setAdding] = useState(false);
  const [find, setFind] = useState("");
  const { list, error } = useLive("agents", {});
  const nodes = useLive("cluster", {});
  useEffect(() => {
    document.title = "Fleet · TestMesh";
  }, []);
  useShortcuts("Fleet", [{ keys: "a", does: "Add an agent", run: () => setAdding(true) }]);
  const agents = list?.order.map((id) => decode(AgentSchema, list.items.get(id))) ?? [];
  const cluster = nodes.list === null ? null : decode(GetClusterResponseSchema, nodes.list.value);
  const found = agents.filter((agent) => fits(agent, find));
  return (
    <div className="flex flex-col gap-3 p-3">
      <div className="flex items-center justify-between">
        <h1 className="text-lg font-semibold">Fleet</h1>
        <Button kind="primary" onClick={() => setAdding(true)}>
          <Icon name="plus" /> Add an agent
        </Button>
      </div>
      <QueuePanel agents={agents} cluster={cluster} />
      <Panel
        title="Agents"
        side={
          agents.length > 5 && (
            <input
              value={find}
              onChange={(event) => setFind(event.target.value)}
              aria-label="Find agents by name or label"
              placeholder="Name or label"
              spellCheck={false}
              className="h-7 w-44 rounded-sm border border-control bg-bg px-2 text-text placeholder:text-text-3"
            />
          )
        }
      >
        {error !== null && <Notice problem={{ title: error.message, hint: "", requestId: "" }} />}
        {list === null && error === null && <Loading what="Agents" />}
        {list !== null && agents.length === 0 && (
          <Empty title="No agent has joined">
            <p className="text-text-2">Runs wait until one is there.</p>
            <Button onClick={() => setAdding(true)}>Add an agent</Button>
          </Empty>
        )}
        {agents.length > 0 && found.length === 0 && <p className="p-3 text-text-2">No agent is called that, or has such a label.</p>}
        <ul aria-label="Agents">
          {found.slice(0, shown).map((agent) => (
            <AgentRow key={agent.id} agent={agent} />
          ))}
        </ul>
        {found.length > shown && (
          <p className="p-3 text-text-2">and {plural(found.length - shown, "more agent")}: write a part of a name or label.</p>
        )}
      </Panel>
      <TokensPanel />
      {cluster !== null && <ClusterPanel cluster={cluster} />}
      {adding && <AddAgent agents={agents} close={() => setAdding(false)} />}
    </div>
  );
}

function fits(agent: Agent, find: string): boolean {
  const text = find.trim().toLowerCase();
  const labels = Object.entries({ ...agent.facts, ...agent.pins }).map(([name, value]) => `${name}=${value}`);
  return text === "" || [agent.name, ...labels].some((one) => one.toLowerCase().includes(text));
}
