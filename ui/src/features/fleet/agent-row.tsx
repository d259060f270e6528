import { useState } from "react";
import { Button } from "../../components/button";
import { Ago } from "../../components/clock";
import { Icon } from "../../components/icon";
import { StatusMark } from "../../components/status-mark";
import { AgentChange } from "../../gen/testmesh/api/v1/api_pb";
import { type Agent, AgentState } from "../../gen/testmesh/api/v1/record_pb";
import { millis, plural } from "../../lib/format";
import { agentMark, agentWord } from "../../lib/status";
import { AgentDetails } from "./agent-details";
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
        <span className="w-22">
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
      {open && <AgentDetails agent={agent} revoke={() => setChange(AgentChange.REVOKE)} />}
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
