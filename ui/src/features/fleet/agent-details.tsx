import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { Button } from "../../components/button";
import { Ago } from "../../components/clock";
import { Glyph } from "../../components/status-mark";
import { type Agent, RunStatus } from "../../gen/testmesh/api/v1/record_pb";
import { runs } from "../../lib/api";
import { millis } from "../../lib/format";
import { markOf, runWord } from "../../lib/status";

const plugin = "plugin.";
const refresh = 3_000;
const held = [RunStatus.OFFERED, RunStatus.RUNNING, RunStatus.FINISHING];

// AgentDetails is what an agent has: its runs, what it was granted and what it reported.
export function AgentDetails({ agent, revoke }: { agent: Agent; revoke: () => void }) {
  const facts = Object.entries(agent.facts);
  return (
    <dl className="grid grid-cols-[max-content_minmax(0,1fr)] gap-x-4 gap-y-2 border-line border-t bg-canvas px-4 py-3 sm:pl-11">
      <Row name="Runs now">
        <Leases agent={agent} />
      </Row>
      <Row name="Pins">
        <Labels list={Object.entries(agent.pins)} none="none: it takes what asks for none" />
      </Row>
      <Row name="Facts">
        <Labels list={facts.filter(([name]) => !name.startsWith(plugin))} none="none" />
      </Row>
      <Row name="Plugins">
        <Labels
          list={facts.filter(([name]) => name.startsWith(plugin)).map(([name, value]) => [name.slice(plugin.length), value])}
          sign=" "
          none="none"
        />
      </Row>
      {agent.pausedUntil !== undefined && <Row name="Paused until">{new Date(millis(agent.pausedUntil)).toLocaleString()}</Row>}
      <Row name="Joined">
        <Ago at={millis(agent.joined)} />
      </Row>
      <Row name="Version">{agent.version}</Row>
      <Row name="Id">
        <span className="mono break-all">{agent.id}</span>
      </Row>
      <Row name="Trust">
        <Button kind="danger" onClick={revoke} aria-label={`Revoke ${agent.name}`}>
          Revoke its key
        </Button>
      </Row>
    </dl>
  );
}

function Row({ name, children }: { name: string; children: ReactNode }) {
  return (
    <>
      <dt className="text-text-2">{name}</dt>
      <dd className="min-w-0">{children}</dd>
    </>
  );
}

function Labels({ list, none, sign = "=" }: { list: [string, string][]; none: string; sign?: string }) {
  if (list.length === 0) return <span className="text-text-2">{none}</span>;
  return (
    <span className="flex flex-wrap gap-1">
      {list.map(([name, value]) => (
        <span key={name} className="rounded-sm border border-line bg-bg px-1.5 text-xs">
          {name}
          {sign}
          {value}
        </span>
      ))}
    </span>
  );
}

function Leases({ agent }: { agent: Agent }) {
  const { data } = useQuery({
    queryKey: ["agent-runs", agent.id, agent.leases.join()],
    queryFn: () => runs.listRuns({ agentId: agent.id, status: held, pageSize: 200 }),
    enabled: agent.leases.length > 0,
    refetchInterval: refresh,
  });
  if (agent.leases.length === 0) return <span className="text-text-2">none</span>;
  const names = new Map(data?.runs.map((run) => [run.id, run]));
  return (
    <ul className="flex flex-col gap-0.5">
      {agent.leases.map((id) => {
        const run = names.get(id);
        return (
          <li key={id}>
            <Link to="/runs/$id" params={{ id }} className="inline-flex max-w-full items-center gap-1.5 hover:underline">
              <Glyph mark={markOf(run === undefined ? "running" : runWord[run.status])} />
              <span className="truncate">{run?.spec?.flow ?? id}</span>
              <span className="truncate text-text-2">{run?.spec?.label}</span>
            </Link>
          </li>
        );
      })}
    </ul>
  );
}
