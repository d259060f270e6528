import { useState } from "react";
import { Button } from "../../components/button";
import { CommandLine } from "../../components/command-line";
import { Dialog } from "../../components/dialog";
import { StatusMark } from "../../components/status-mark";
import { Tabs } from "../../components/tabs";
import { GetClusterResponseSchema } from "../../gen/testmesh/api/v1/api_pb";
import { type Agent, AgentState } from "../../gen/testmesh/api/v1/record_pb";
import { joinWays } from "../../lib/join-commands";
import { decode, useLive } from "../../lib/use-live";

// Joining shows what to type, with the token that is shown this once, and turns green at
// the first sign of life.
export function Joining({
  secret,
  server,
  joined,
  uses,
  close,
}: {
  secret: string;
  server: string;
  joined: Agent[];
  uses: number;
  close: () => void;
}) {
  const [at, setAt] = useState("shell");
  const { list } = useLive("cluster", {});
  const version = list === null ? "" : decode(GetClusterResponseSchema, list.value).version;
  const ways = joinWays({ server, token: secret, version: version || "VERSION" });
  const way = ways.find((one) => one.id === at);
  const there = joined.filter((agent) => agent.state === AgentState.ONLINE);
  return (
    <Dialog title="Add an agent" close={close} wide>
      <div className="flex flex-col gap-3">
        <div
          role="status"
          className={`flex flex-col gap-1 rounded-md border p-3 ${there.length > 0 ? "border-passed bg-passed-bg" : "border-line bg-bg"}`}
        >
          {joined.length === 0 && <StatusMark mark="running" word="Waiting for it to join…" />}
          {joined.map((agent) =>
            agent.state === AgentState.ONLINE ? (
              <StatusMark key={agent.id} mark="passed" word={`${agent.name} has joined and takes runs`} />
            ) : (
              <StatusMark key={agent.id} mark="running" word={`${agent.name} has joined: waiting for its first sign of life…`} />
            ),
          )}
          {joined.length > 0 && joined.length < uses && <span className="text-text-2">The token is good for {uses - joined.length} more.</span>}
        </div>
        <div className="-mx-4">
          <Tabs label="Where the agent runs" tabs={ways} at={at} choose={setAt} />
        </div>
        {way !== undefined && (
          <div role="tabpanel" aria-label={way.label} className="flex min-h-48 flex-col gap-3">
            {way.steps.map((step, i) => (
              <div key={step.title} className="flex flex-col gap-1">
                <p className="font-medium">{step.title}</p>
                <CommandLine text={step.text} label={way.steps.length === 1 ? "the command" : `the command, part ${i + 1}`} />
              </div>
            ))}
            <p className="text-text-2">{way.says}</p>
          </div>
        )}
        <footer className="flex flex-wrap items-center gap-3">
          <p className="min-w-0 flex-1 text-text-2 text-xs">
            The token is shown this once. The agent makes outbound connections only, to this address.
          </p>
          <Button kind={there.length > 0 ? "primary" : "plain"} onClick={close}>
            Done
          </Button>
        </footer>
      </div>
    </Dialog>
  );
}
