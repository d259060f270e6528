import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { Button } from "../../components/button";
import { Dialog } from "../../components/dialog";
import { control, Field } from "../../components/field";
import type { Agent } from "../../gen/testmesh/api/v1/record_pb";
import { agents as api } from "../../lib/api";
import { useDraft } from "../../lib/draft";
import { freshKey } from "../../lib/fresh-key";
import { checkAddress, isLoopback } from "../../lib/join-commands";
import { parsePins } from "../../lib/pins";
import { problemOf } from "../../lib/problem";
import { Joining } from "./joining";

const spans = [
  { seconds: 3_600, word: "an hour" },
  { seconds: 86_400, word: "a day" },
  { seconds: 7 * 86_400, word: "a week" },
];

const mostAgents = 100_000;
const initial = { pins: "", reserved: false, uses: "1", seconds: 3_600, address: "" };

// AddAgent makes a join token, shows the commands that use it, and waits for the agent.
export function AddAgent({ agents, close }: { agents: Agent[]; close: () => void }) {
  const draft = useDraft("add agent", initial);
  const { pins: text, reserved, uses, seconds } = draft.value;
  const address = draft.value.address || location.origin;
  const [before] = useState(() => new Set(agents.map((agent) => agent.id)));
  const [key] = useState(freshKey);
  const { pins, problem } = parsePins(text);
  const wrongUses = /^\d+$/.test(uses) && Number(uses) >= 1 && Number(uses) <= mostAgents ? "" : "Write a whole number from 1.";
  const wrongAddress = checkAddress(address);
  const wrong = problem !== "" || wrongUses !== "" || wrongAddress !== "";
  const make = useMutation({
    mutationFn: () =>
      api.createJoinToken({
        pins,
        reserved: reserved ? Object.keys(pins) : [],
        uses: Number(uses),
        ttl: { seconds: BigInt(seconds), nanos: 0 },
        idempotencyKey: key,
      }),
    onSuccess: draft.clear,
  });
  const [server, setServer] = useState(address);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (wrong) return;
    setServer(new URL(address).origin);
    make.mutate();
  };
  if (make.data !== undefined) {
    const fresh = agents.filter((agent) => !before.has(agent.id) && Object.entries(pins).every(([name, value]) => agent.pins[name] === value));
    return <Joining secret={make.data.secret} server={server} joined={fresh} uses={Number(uses)} close={close} />;
  }
  return (
    <Dialog title="Add an agent" close={close} wide>
      <form onSubmit={submit} noValidate className="flex flex-col gap-3">
        <Field
          label="Labels that it is granted"
          hint="A flow for env: staging is only ever given to an agent that was granted env=staging. None: it takes what asks for none."
          problem={problem}
        >
          {(props) => (
            <input
              {...props}
              data-first
              value={text}
              onChange={(event) => draft.set({ pins: event.target.value })}
              placeholder="env=staging zone=eu-1"
              spellCheck={false}
              autoComplete="off"
              className={`${control} mono`}
            />
          )}
        </Field>
        <label className="flex items-center gap-2">
          <input
            type="checkbox"
            checked={reserved}
            disabled={Object.keys(pins).length === 0}
            onChange={(event) => draft.set({ reserved: event.target.checked })}
            className="size-4 accent-accent"
          />
          Reserve it for runs that name these labels
        </label>
        <Field
          label="Address of the control plane, for the agent"
          hint={
            isLoopback(address) ? "This is the address of this machine to itself: for an agent elsewhere, write the one by which it is reached." : ""
          }
          problem={wrongAddress}
        >
          {(props) => (
            <input
              {...props}
              value={address}
              onChange={(event) => draft.set({ address: event.target.value })}
              spellCheck={false}
              autoComplete="off"
              className={`${control} mono`}
            />
          )}
        </Field>
        <div className="grid gap-3 sm:grid-cols-2">
          <Field label="Agents that may join with the token" problem={wrongUses}>
            {(props) => (
              <input
                {...props}
                inputMode="numeric"
                autoComplete="off"
                value={uses}
                onChange={(event) => draft.set({ uses: event.target.value })}
                className={control}
              />
            )}
          </Field>
          <Field label="Within">
            {(props) => (
              <select {...props} value={seconds} onChange={(event) => draft.set({ seconds: Number(event.target.value) })} className={control}>
                {spans.map((span) => (
                  <option key={span.seconds} value={span.seconds}>
                    {span.word}
                  </option>
                ))}
              </select>
            )}
          </Field>
        </div>
        {make.error !== null && (
          <p role="alert" className="text-failed-text">
            {problemOf(make.error).title}
          </p>
        )}
        <span className="flex justify-end gap-2">
          <Button onClick={close}>Not now</Button>
          <Button kind="primary" type="submit" disabled={wrong || make.isPending}>
            Make the join token
          </Button>
        </span>
      </form>
    </Dialog>
  );
}
