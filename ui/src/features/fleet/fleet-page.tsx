import { useEffect, useState } from "react";
import { Button } from "../../components/button";
import { Icon } from "../../components/icon";
import { Empty, Loading, Notice } from "../../components/notice";
import { AgentSchema } from "../../gen/testmesh/api/v1/record_pb";
import { useShortcuts } from "../../lib/shortcuts";
import { decode, useLive } from "../../lib/use-live";
import { AddAgent } from "./add-agent";
import { AgentRow } from "./agent-row";
import { ClusterPanel } from "./cluster-panel";
import { QueuePanel } from "./queue-panel";

export function FleetPage() {
  const [adding, setAdding] = useState(false);
  const { list, error } = useLive("agents", {});
  useEffect(() => {
    document.title = "Fleet · TestMesh";
  }, []);
  useShortcuts("Fleet", [{ keys: "a", does: "Add an agent", run: () => setAdding(true) }]);
  const agents = list?.order.map((id) => decode(AgentSchema, list.items.get(id))) ?? [];
  return (
    <div className="flex flex-col gap-4 p-3">
      <div className="flex items-center justify-between">
        <h1 className="text-lg font-semibold">Fleet</h1>
        <Button kind="primary" onClick={() => setAdding(true)}>
          <Icon name="plus" /> Add an agent
        </Button>
      </div>
      <QueuePanel />
      <section className="panel min-w-0" aria-labelledby="agents">
        <h2 id="agents" className="border-line border-b px-3 py-2 font-semibold">
          Agents
        </h2>
        {error !== null && <Notice problem={{ title: error.message, hint: "", requestId: "" }} />}
        {list === null && error === null && <Loading what="Agents" />}
        {list !== null && agents.length === 0 && (
          <Empty title="No agent has joined">
            <p className="text-text-2">Runs wait until one is there.</p>
            <Button onClick={() => setAdding(true)}>Add an agent</Button>
          </Empty>
        )}
        <ul>
          {agents.map((agent) => (
            <AgentRow key={agent.id} agent={agent} />
          ))}
        </ul>
      </section>
      <ClusterPanel />
      {adding && <AddAgent agents={agents} close={() => setAdding(false)} />}
    </div>
  );
}
