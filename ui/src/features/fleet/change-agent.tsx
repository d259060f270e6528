import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { Button } from "../../components/button";
import { Dialog } from "../../components/dialog";
import { AgentChange } from "../../gen/testmesh/api/v1/api_pb";
import type { Agent } from "../../gen/testmesh/api/v1/record_pb";
import { agents } from "../../lib/api";
import { freshKey } from "../../lib/fresh-key";
import { problemOf } from "../../lib/problem";

const words: Partial<Record<AgentChange, { verb: string; says: string }>> = {
  [AgentChange.PAUSE]: { verb: "Pause", says: "It takes nothing new until it is resumed. What it runs, it ends." },
  [AgentChange.RESUME]: { verb: "Resume", says: "It takes runs again." },
  [AgentChange.DRAIN]: { verb: "Drain", says: "It takes nothing new, and its process ends when what it runs has ended." },
  [AgentChange.REVOKE]: {
    verb: "Revoke",
    says: "Its key is refused from now on, and what it runs is lost to it. To come back it must join anew, with another token.",
  },
};

const spans = [
  { seconds: 0, word: "until it is resumed" },
  { seconds: 3_600, word: "for an hour" },
  { seconds: 8 * 3_600, word: "for 8 hours" },
  { seconds: 7 * 86_400, word: "for a week" },
];

// ChangeAgent pauses, resumes or drains an agent, with a note for the others.
export function ChangeAgent({ agent, change, close }: { agent: Agent; change: AgentChange; close: () => void }) {
  const [note, setNote] = useState("");
  const [key] = useState(freshKey);
  const [seconds, setSeconds] = useState(0);
  const { verb, says } = words[change] ?? { verb: "Change", says: "" };
  const set = useMutation({
    mutationFn: () =>
      agents.setAgent({
        id: agent.id,
        change,
        note,
        duration: seconds > 0 ? { seconds: BigInt(seconds), nanos: 0 } : undefined,
        idempotencyKey: key,
      }),
    onSuccess: close,
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    set.mutate();
  };
  return (
    <Dialog title={`${verb} ${agent.name}`} close={close}>
      <form onSubmit={submit} className="flex flex-col gap-3">
        <p className="text-text-2">{says}</p>
        {change !== AgentChange.RESUME && (
          <label className="flex flex-col gap-1">
            Note (others see it)
            <input
              data-first
              value={note}
              maxLength={500}
              onChange={(event) => setNote(event.target.value)}
              className="h-8 rounded-sm border border-control bg-bg px-2"
            />
          </label>
        )}
        {change === AgentChange.PAUSE && (
          <label className="flex flex-col gap-1">
            How long
            <select
              value={seconds}
              onChange={(event) => setSeconds(Number(event.target.value))}
              className="h-8 rounded-sm border border-control bg-bg px-2"
            >
              {spans.map((span) => (
                <option key={span.seconds} value={span.seconds}>
                  {span.word}
                </option>
              ))}
            </select>
          </label>
        )}
        {set.error !== null && (
          <p role="alert" className="text-failed-text">
            {problemOf(set.error).title}
          </p>
        )}
        <span className="flex justify-end gap-2">
          <Button onClick={close}>Leave it</Button>
          <Button kind={change === AgentChange.REVOKE ? "danger" : "primary"} type="submit" disabled={set.isPending}>
            {verb}
          </Button>
        </span>
      </form>
    </Dialog>
  );
}
