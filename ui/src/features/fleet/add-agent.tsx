import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useRef, useState } from "react";
import { Button } from "../../components/button";
import { CommandLine } from "../../components/command-line";
import { Dialog } from "../../components/dialog";
import { StatusMark } from "../../components/status-mark";
import type { Agent } from "../../gen/testmesh/api/v1/record_pb";
import { agents as api } from "../../lib/api";
import { parsePins } from "../../lib/pins";
import { problemOf } from "../../lib/problem";

const spans = [
  { seconds: 3_600, word: "an hour" },
  { seconds: 86_400, word: "a day" },
  { seconds: 7 * 86_400, word: "a week" },
];

// AddAgent makes a join token, shows the command that uses it, and waits for the agent.
export function AddAgent({ agents, close }: { agents: Agent[]; close: () => void }) {
  const [text, setText] = useState("");
  const [uses, setUses] = useState(1);
  const [seconds, setSeconds] = useState(3_600);
  const before = useRef(new Set(agents.map((agent) => agent.id)));
  const { pins, problem } = parsePins(text);
  const make = useMutation({
    mutationFn: () => api.createJoinToken({ pins, uses, ttl: { seconds: BigInt(seconds), nanos: 0 }, idempotencyKey: crypto.randomUUID() }),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (problem === "") make.mutate();
  };
  if (make.data !== undefined) {
    return <Joining secret={make.data.secret} joined={agents.filter((agent) => !before.current.has(agent.id))} close={close} />;
  }
  const field = "h-8 rounded-sm border border-control bg-bg px-2";
  return (
    <Dialog title="Add an agent" close={close} wide>
      <form onSubmit={submit} className="flex flex-col gap-3">
        <label className="flex flex-col gap-1">
          Labels that it is granted
          <input
            data-first
            value={text}
            onChange={(event) => setText(event.target.value)}
            placeholder="env=staging zone=eu-1"
            aria-invalid={problem !== ""}
            aria-describedby="pins-help"
            spellCheck={false}
            className={`${field} mono placeholder:text-text-3`}
          />
        </label>
        <p id="pins-help" className={problem === "" ? "text-text-2" : "text-failed-text"}>
          {problem || "A flow for env: staging is only ever given to an agent that was granted env=staging. None: it takes what asks for none."}
        </p>
        <span className="flex flex-wrap gap-3">
          <label className="flex flex-col gap-1">
            Agents that may join with it
            <input
              type="number"
              min={1}
              max={100_000}
              value={uses}
              onChange={(event) => setUses(Math.max(1, Math.min(100_000, event.target.valueAsNumber || 1)))}
              className={field}
            />
          </label>
          <label className="flex flex-col gap-1">
            Within
            <select value={seconds} onChange={(event) => setSeconds(Number(event.target.value))} className={field}>
              {spans.map((span) => (
                <option key={span.seconds} value={span.seconds}>
                  {span.word}
                </option>
              ))}
            </select>
          </label>
        </span>
        {make.error !== null && (
          <p role="alert" className="text-failed-text">
            {problemOf(make.error).title}
          </p>
        )}
        <span className="flex justify-end gap-2">
          <Button onClick={close}>Not now</Button>
          <Button kind="primary" type="submit" disabled={problem !== "" || make.isPending}>
            Make the join token
          </Button>
        </span>
      </form>
    </Dialog>
  );
}

function Joining({ secret, joined, close }: { secret: string; joined: Agent[]; close: () => void }) {
  const command = `testmesh agent --server ${location.origin} --token ${secret} --data testmesh-agent`;
  return (
    <Dialog title="Add an agent" close={close} wide>
      <div className="flex flex-col gap-3">
        <p>On the agent's machine, with the token that is shown this once:</p>
        <CommandLine text={command} label="the command" />
        <p className="text-text-2">
          From then on it knows its own key, and the same command without the token starts it. It makes outbound connections only, to this address.
        </p>
        <div role="status" className="panel flex flex-col gap-1 p-3">
          {joined.length === 0 ? (
            <StatusMark mark="running" word="Waiting for it to join…" />
          ) : (
            joined.map((agent) => <StatusMark key={agent.id} mark="passed" word={`${agent.name} has joined`} />)
          )}
        </div>
        <span className="flex justify-end">
          <Button kind={joined.length > 0 ? "primary" : "plain"} onClick={close}>
            Done
          </Button>
        </span>
      </div>
    </Dialog>
  );
}
