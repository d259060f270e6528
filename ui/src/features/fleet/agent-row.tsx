import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { Button } from "../../components/button";
import { Ago } from "../../components/clock";
import { Icon } from "../../components/icon";
import { StatusMark } from "../../components/status-mark";
import { AgentChange } from "../../gen/testmesh/api/v1/api_pb";
import { type Agent, AgentState } from "../../gen/testmesh/api/v1/record_pb";
import { millis, plural, shortId } from "../../lib/format";
import { agentMark, agentWord } from "../../lib/status";
import { ChangeAgent } from "./change-agent";

// AgentRow is an agent: how it is, what it may take, and what it has.
export function AgentRow({ agent }: { agent: Agent }) {
  const [open, setOpen] = useState(false);
  const [change, setChange] = useState<AgentChange | null>(null);
  const held = agent.state === AgentState.PAUSED || agent.state === AgentState.DRAINING;
  return (
    <li className="border-line border-b last:border-b-0">
      <div className="flex flex-wrap items-center gap-x-3 gap-y-1 px-2 py-1.5">
        <button
          type="button"
          aria-expanded={open}
          aria-label={`${open ? "Fold" : "Unfold"} ${agent.name}`}
          onClick={() => setOpen(!open)}
          className="flex size-6 items-center justify-center rounded-sm hover:bg-hover"
        >
          <Icon name="chevron" className={`text-text-3 ${open ? "rotate-90" : ""}`} />
        </button>
        <span className="w-24">
          <StatusMark mark={agentMark[agent.state]} word={agentWord[agent.state]} />
        </span>
        <span className="min-w-24 font-medium">{agent.name}</span>
        <Labels agent={agent} />
        {agent.note !== "" && <span className="text-flaky-text">“{agent.note}”</span>}
        {agent.cloned && <span className="font-medium text-failed-text">Its key was used by a second process: it may have been copied.</span>}
        <span className="ml-auto flex items-center gap-3">
          <span className="text-text-2">
            <span className="text-text">{agent.leases.length}</span> of {plural(agent.slots, "slot")} taken
          </span>
          <span className="w-20 text-right text-text-2">
            <Ago at={millis(agent.seen)} />
          </span>
          {held ? (
            <Button onClick={() => setChange(AgentChange.RESUME)}>Resume</Button>
          ) : (
            <Button onClick={() => setChange(AgentChange.PAUSE)}>Pause</Button>
          )}
          <Button onClick={() => setChange(AgentChange.DRAIN)} disabled={agent.state === AgentState.DRAINING}>
            Drain
          </Button>
        </span>
      </div>
      {open && <Details agent={agent} />}
      {change !== null && <ChangeAgent agent={agent} change={change} close={() => setChange(null)} />}
    </li>
  );
}

// Labels are the pins, which the control plane granted and a lock marks.
function Labels({ agent }: { agent: Agent }) {
  return (
    <span className="flex flex-wrap gap-1">
      {Object.entries(agent.pins).map(([name, value]) => (
        <span key={name} title="Granted by the join token" className="inline-flex items-center gap-1 rounded-sm border border-control px-1.5 text-xs">
          <Icon name="lock" className="size-3" />
          {name}={value}
          {agent.reserved.includes(name) && <span className="text-text-2">reserved</span>}
        </span>
      ))}
    </span>
  );
}

function Details({ agent }: { agent: Agent }) {
  return (
    <dl className="grid grid-cols-[max-content_minmax(0,1fr)] gap-x-4 gap-y-1.5 border-line border-t bg-canvas px-4 py-3">
      <dt className="text-text-2">Runs</dt>
      <dd className="flex flex-wrap gap-x-3">
        {agent.leases.length === 0 && "none"}
        {agent.leases.map((run) => (
          <Link key={run} to="/runs/$id" params={{ id: run }} className="mono text-accent underline">
            {shortId(run)}
          </Link>
        ))}
      </dd>
      <dt className="text-text-2">Facts</dt>
      <dd className="flex flex-wrap gap-1">
        {Object.entries(agent.facts).map(([name, value]) => (
          <span key={name} title="Reported by the agent" className="rounded-sm border border-line px-1.5 text-xs">
            {name}={value}
          </span>
        ))}
      </dd>
      <dt className="text-text-2">Plugins</dt>
      <dd>{plural(agent.plugins.length, "plugin")}</dd>
      <dt className="text-text-2">Version</dt>
      <dd>{agent.version}</dd>
      <dt className="text-text-2">Joined</dt>
      <dd>
        <Ago at={millis(agent.joined)} />
      </dd>
      {agent.pausedUntil !== undefined && (
        <>
          <dt className="text-text-2">Paused until</dt>
          <dd>{new Date(millis(agent.pausedUntil)).toLocaleString()}</dd>
        </>
      )}
      <dt className="text-text-2">Id</dt>
      <dd className="mono break-all">{agent.id}</dd>
    </dl>
  );
}
